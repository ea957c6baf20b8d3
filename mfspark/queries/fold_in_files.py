"""Lists for the users of files, all of whom came after the night; one process, no Spark.

Ratings are read as those of a night, rows that cannot count are left out with their reasons, and
what is left is taken in some users at a time (models.newcomers).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mfspark.config.allowed_roots import check_allowed
from mfspark.errors import ConfigError, InputError
from mfspark.ingest.in_arrays import FileRatings, are_integers, read_arrays
from mfspark.ingest.parts import REJECTED
from mfspark.ingest.readers.files import find_files
from mfspark.kernels.arrays.device import one_thread_a_kernel
from mfspark.kernels.arrays.tile import Array, Tile
from mfspark.models.newcomers import UNKNOWN_ITEM, Newcomers, NewLists, model_for
from mfspark.models.published_facts import ingest_of, is_implicit, missing_ratings
from mfspark.queries.lookup import as_id
from mfspark.schemas import SORTED_BY, IdType, IdTypes, new_lists_schema
from mfspark.tables.export import kind_of_file, writing_table
from mfspark.tables.run import PublishedRun

if TYPE_CHECKING:
    from mfspark.config.config import IngestOptions


Told = Callable[[str, int, int], None]
"""Hears of what is being done: reading (parts of files) or ranking (users), how many are done, and
how many there are."""


@dataclass(frozen=True)
class FoldedFiles:
    """What came of some files."""

    model: str
    n_rows: int
    """Rows of the files."""
    n_users: int
    """Users with at least one rating."""
    n_listed: int
    """Users with a list."""
    n_popular: int
    """How many of them have popularity's, as the model has nothing to go by."""
    n_entries: int
    """Rows that were written."""
    rejected: dict[str, int]
    """Rows that were left out, by reason."""
    rejected_in: Path | None
    """Where they are; None where there are none."""
    n_known: int
    """Users whom the run knows, too; what it knows of them counts for nothing here."""
    read_as: dict[str, str]
    """In words, how each file was understood."""


def rejected_beside(out: Path) -> Path:
    """Return where rows are written that were left out."""
    return out.with_name(f"{out.stem}.rejected{out.suffix}")


def fold_in_files(
    run: PublishedRun,
    files: Sequence[str],
    out: Path,
    options: IngestOptions,
    *,
    model: str | None = None,
    n: int = 10,
    threads: int = 1,
    overwrite: bool = False,
    told: Told = lambda _what, _done, _all: None,
) -> FoldedFiles:
    """Write the n best items for each user of some files of ratings, and return what came of it.

    The file (CSV or Parquet, by its ending) has the columns of `schemas.new_lists_schema`, in the
    order of users and ranks; `rejected_beside` it stand the rows that were left out. Each appears
    by one rename. `options` say how the files are read; the scale is the run's. torch is kept to
    one thread a kernel from here on.

    Raises NotFoundError where the run has no model that can do it, ConfigError for a file that
    exists (unless it may be overwritten) or cannot be written, InputError where the files cannot be
    used, too much of them is rejected, or no user has an item that the model knows.
    """
    name = model_for(run, model)
    paths = [check_allowed(path, "the file") for path in find_files(files)]
    for path in (out, rejected_beside(out)):
        _check_writable(path, paths, overwrite=overwrite)
    options = reading_options(run, options)
    found = read_arrays(paths, options, partial(told, "reading"))
    try:
        found.check(options)
        newcomers = Newcomers.of(run, name)
        places = _places(newcomers, found.item_ids)
        _keep_what_counts(run, found, places, options)
        if not len(found.rows.users):
            raise InputError(
                f"model '{name}' knows none of the {len(found.item_ids):,} rated items",
                "files name items by the ids of table items; is it the right warehouse?",
            )
    except InputError as error:
        where = _write_rejected(found, out)
        more = [f"rows that were left out: {where}"] if where else []
        raise InputError(error.message, "; ".join([error.hint, *more])) from None
    rejected_in = _write_rejected(found, out)
    ids, users = _in_order(run, found)
    tile = Tile.from_triples(
        users, places[found.rows.items], found.rows.values, len(ids), len(newcomers.items)
    )
    n_users, found.rows = len(found.user_ids), found.rows.take(np.empty(0, int))
    lists = newcomers.lists(tile, n, threads)
    return FoldedFiles(
        model=name,
        n_rows=found.counts.n_rows,
        n_users=n_users,
        **_write_lists(newcomers, ids, lists, out, partial(told, "ranking")),
        rejected=found.reasons,
        rejected_in=rejected_in,
        n_known=_n_known(run, ids),
        read_as=dict(zip(found.names, found.read_as, strict=True)),
    )


def reading_options(run: PublishedRun, options: IngestOptions) -> IngestOptions:
    """Return how files of new users are read: as asked for, but for what the night decided.

    That is the rating scale, what stands for "not rated", and whether rows are choices.
    """
    decided: dict[str, object] = {
        "missing_ratings": options.missing_ratings or missing_ratings(run)
    }
    if is_implicit(run):
        decided |= {"feedback": "implicit", "rating_scale": None}
    else:
        decided |= {"feedback": "auto", "rating_scale": ingest_of(run).rating_scale}
    return options.model_copy(update=decided)


def _places(newcomers: Newcomers, item_ids: pa.Array) -> Array:
    """Return the place of each id among the items of the run, -1: the model knows none."""
    run = newcomers.items.run
    kind = pa.int64() if run.manifest.ids.item == "integer" else pa.string()
    ids = pa.array([as_id(run, "item", text) for text in item_ids.to_pylist()], kind)
    return newcomers.places(ids).to_numpy()


def _keep_what_counts(
    run: PublishedRun, found: FileRatings, places: Array, options: IngestOptions
) -> None:
    """Leave out ratings of unknown items, and of each user and item all but the newest."""
    found.leave_out(places[found.rows.items] < 0, UNKNOWN_ITEM)
    if is_implicit(run):
        found.add_up(places)
    else:
        found.keep_newest(places, options)


def _in_order(run: PublishedRun, found: FileRatings) -> tuple[pa.Array, Array]:
    """Return the ids of the users who have ratings, in order, and whose each rating is, int64 (n).

    Ids are integers where they are and the run's are, else text.
    """
    ids = found.user_ids
    if run.manifest.ids.user == "integer" and are_integers(ids):
        ids = ids.cast(pa.int64())
    order = pc.array_sort_indices(ids).to_numpy()
    has_ratings = np.bincount(found.rows.users, minlength=len(ids))[order] > 0
    place = np.empty(len(ids), np.int64)
    place[order] = np.cumsum(has_ratings) - 1
    return ids.take(pa.array(order[has_ratings])), place[found.rows.users]


def _write_lists(
    newcomers: Newcomers,
    ids: pa.Array,
    found: Iterator[NewLists],
    out: Path,
    told: Callable[[int, int], None],
) -> dict[str, int]:
    """Write the lists of users, and return how much that was, as `FoldedFiles` has it."""
    kind: IdType = "integer" if pa.types.is_integer(ids.type) else "string"
    schema = new_lists_schema(IdTypes(kind, newcomers.items.run.manifest.ids.item))
    n_entries = n_listed = n_popular = 0
    one_thread_a_kernel()  # cores share out the users
    with writing_table(out, schema) as write:
        for lists in found:
            end = lists.first + len(lists.by_popularity)
            rows = newcomers.rows(lists, ids.slice(lists.first, end - lists.first))
            write(rows.cast(schema))
            n_entries += rows.num_rows
            n_listed += int((lists.lists.lengths > 0).sum())
            n_popular += int(lists.by_popularity.sum())
            told(end, len(ids))
    return {"n_listed": n_listed, "n_popular": n_popular, "n_entries": n_entries}


def _n_known(run: PublishedRun, ids: pa.Array) -> int:
    known = run.files("users").dataset().to_table(columns=["user_id"])["user_id"]
    if known.type != ids.type:
        known, ids = known.cast(pa.string()), ids.cast(pa.string())
    return pc.sum(pc.is_in(ids, known.combine_chunks())).as_py() or 0


def _write_rejected(found: FileRatings, out: Path) -> Path | None:
    """Write the rows that were left out beside a file, in order; None where there are none."""
    beside = rejected_beside(out)
    if not found.rejected:
        beside.unlink(missing_ok=True)  # of the lists that were there before
        return None
    rows = pa.concat_tables(found.rejected).sort_by(
        [(name, "ascending") for name in SORTED_BY["rejected_ratings"]]
    )
    with writing_table(beside, REJECTED) as write:
        for batch in rows.to_batches():
            write(batch)
    return beside


def _check_writable(path: Path, inputs: Sequence[str], *, overwrite: bool) -> None:
    """Raise ConfigError for a file that must not, or cannot, be written."""
    kind_of_file(path)
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        why = "it is a directory" if path.is_dir() else f"there is no {folder} to write in"
        raise ConfigError(f"cannot write {path}: {why}", "name another file: --out FILE")
    if str(path.resolve()) in {os.path.realpath(name) for name in inputs}:
        raise ConfigError(f"{path} is one of the files that are read", "name another: --out FILE")
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} is there already", "name another file, or add --overwrite")
