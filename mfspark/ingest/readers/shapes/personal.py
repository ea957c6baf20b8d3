"""Exports of what one person rated: files without a column of users, each of which is one user."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from mfspark.errors import InputError
from mfspark.ingest.readers.id_text import clean_ids, without_point_zero
from mfspark.ingest.readers.packings import SUFFIXES
from mfspark.ingest.readers.shapes.names import TIERS, plain_name

ONE_PERSON = "-"
"""As `ingest.columns.user`: no column says who, each file is what one person rated."""


@dataclass(frozen=True)
class PersonalExport:
    """What a service calls the columns of one person's ratings; plain names."""

    service: str
    item: str
    rating: str
    title: str
    times: tuple[str, ...]
    """Columns of times; the first one that is filled says when."""
    others: frozenset[str] = frozenset()
    """Further names that tell such a file."""
    never: frozenset[str] = frozenset()
    """Names of other exports of the service, of which the item is something else."""
    not_rated: tuple[float, ...] = ()
    """Ratings that stand for none."""

    def parts(self, names: Sequence[str]) -> dict[str, int]:
        """Return the position of each part but the user, of the first time that is there."""
        found = {"item": [self.item], "rating": [self.rating], "timestamp": self.times}
        places = {part: _positions(names, wanted) for part, wanted in found.items()}
        return {part: at[0] for part, at in places.items() if at}

    def title_position(self, names: Sequence[str]) -> int:
        """Return the position of the titles; -1 where there are none."""
        return (*_positions(names, [self.title]), -1)[0]

    def other_time(self, names: Sequence[str]) -> int:
        """Return the position of the second time; -1 where there is none."""
        return (*_positions(names, self.times)[1:], -1)[0]


EXPORTS = (
    PersonalExport(
        "Goodreads", "bookid", "myrating", "title", ("dateread", "dateadded"), not_rated=(0.0,)
    ),
    PersonalExport("IMDb", "const", "yourrating", "title", ("daterated",)),
    PersonalExport(
        "Letterboxd",
        "letterboxduri",
        "rating",
        "name",
        ("date",),
        others=frozenset({"year", "name"}),
        never=frozenset({"watcheddate", "rewatch"}),  # there the address is that of an entry
    ),
)
_NAMES_OF_USERS = frozenset[str]().union(*TIERS["user"])


def _positions(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    plain = [plain_name(name) for name in names]
    return [plain.index(name) for name in wanted if name in plain]


def export_of(names: Sequence[str]) -> PersonalExport | None:
    """Return which known export of one person has these columns; None where a user has a name."""
    plain = {plain_name(name) for name in names}
    for export in EXPORTS:
        marks = {export.item, export.rating, *export.others}
        users = (plain & _NAMES_OF_USERS) - {export.title}
        if marks <= plain and not plain & export.never and not users:
            return export
    return None


def person_of(path: str) -> str:
    """Return who rated what a file holds: the file's name, without what says how it is stored."""
    name = posixpath.basename(path)
    for suffix in SUFFIXES.values():
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
            break
    return posixpath.splitext(name)[0]


def check_people(files: Sequence[str]) -> None:
    """Raise InputError where two files would be one user, as ids are compared."""
    same: defaultdict[str, list[str]] = defaultdict(list)
    ids, _ = clean_ids(pa.array([person_of(path) for path in files], pa.string()))
    for path, user in zip(files, without_point_zero(ids).to_pylist(), strict=True):
        same[user].append(path)
    for user, paths in same.items():
        if len(paths) > 1:
            raise InputError(
                f"{paths[0]} and {paths[1]} would both be the ratings of user '{user}'",
                "a file without a column of users is one user, called by its name: rename one",
            )
