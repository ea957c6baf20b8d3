"""Ids that look alike, and the few that keep all from being numbers, are named."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from mfspark.ingest.id_notes import notes_on_ids

Notes = Callable[[list[str]], list[str]]


@pytest.fixture
def notes() -> Notes:
    """Return what is said of some ids, in whatever order they come."""

    def say(ids: list[str]) -> list[str]:
        said = [
            notes_on_ids("user", pa.array(each, pa.string()), len(ids)) for each in (ids, ids[::-1])
        ]
        assert said[0] == said[1]
        return said[0]

    return say


NUMBERS = [str(n) for n in range(1, 41)]


@pytest.mark.parametrize(
    ("odd", "others"),
    [("'4'", "4"), ("007", "7"), ("\uff11", "1"), ("7\u200b", "7"), ("“7”", "7")],
)
def test_what_keeps_ids_from_being_numbers_and_looks_alike(
    notes: Notes, odd: str, others: str
) -> None:
    text, alike = notes([*NUMBERS, odd])
    assert text == (f"user ids are text, as 1 of 41 are no plain integers, such as {odd!r}")
    assert alike.startswith("1 group of user ids differ in case")
    assert repr(odd) in alike
    assert repr(others) in alike


@pytest.mark.parametrize(
    "pair", [("Ann", "ann"), ("Ann Lee", "Ann\u00a0Lee"), ("STRASSE", "strasse"), ("ﬁn", "fin")]
)
def test_names_that_look_alike(notes: Notes, pair: tuple[str, str]) -> None:
    (note,) = notes(["Bob", *pair, "Carl"])
    assert repr(min(pair)) in note
    assert repr(max(pair)) in note


@pytest.mark.parametrize("ids", [["Ann", "Bob"], ["u1"], [], ["1x", "2x", "3x", "10"], ["-1", "1"]])
def test_no_word_on_plain_names(notes: Notes, ids: list[str]) -> None:
    assert notes(ids) == []


def test_groups_are_counted_and_the_first_is_named(notes: Notes) -> None:
    """Against a dictionary, which holds all ids at once."""
    ids = [f"{word}{n}" for n in range(300) for word in ("ab", "AB" if n % 7 == 0 else "cd")]
    ids.append("AA")  # before all others, and like none
    groups: dict[str, list[str]] = {}
    for one in ids:
        groups.setdefault(one.lower(), []).append(one)
    several = sorted(sorted(group) for group in groups.values() if len(group) > 1)
    (note,) = notes(ids)
    assert note.startswith(f"{len(several)} groups of user ids")
    assert f"{several[0][0]!r} and {several[0][1]!r}" in note


def test_ids_that_are_not_compared_are_told() -> None:
    (note,) = notes_on_ids("item", pa.array(["a", "b"]), 5)
    assert note == "of 5 item ids the first 2 were compared with one another"
