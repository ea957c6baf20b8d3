"""Ids that look alike, and the few that keep all from being numbers, are named."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from mfspark.ingest.id_notes import notes_on_ids


class Frame:
    """Ids as a DataFrame has them, without Spark."""

    def __init__(self, ids: list[str]) -> None:
        """Keep the ids."""
        self.ids = ids

    def select(self, _: str) -> Frame:
        """Return itself: it has one column."""
        return self

    def toArrow(self) -> pa.Table:  # noqa: N802 - Spark's name
        """Return the ids."""
        return pa.table({"id": self.ids})


def notes(ids: list[str], n: int | None = None) -> list[str]:
    frame: Any = Frame(ids)
    return notes_on_ids("user", frame, len(ids) if n is None else n)


NUMBERS = [str(n) for n in range(1, 41)]


@pytest.mark.parametrize(
    ("odd", "others"),
    [("'4'", "4"), ("007", "7"), ("\uff11", "1"), ("7\u200b", "7"), ("“7”", "7")],
)
def test_what_keeps_ids_from_being_numbers_and_looks_alike(odd: str, others: str) -> None:
    text, alike = notes([*NUMBERS, odd])
    assert text == (f"user ids are text, as 1 of 41 are no plain integers, such as {odd!r}")
    assert alike.startswith("1 group of user ids differ in case")
    assert repr(odd) in alike
    assert repr(others) in alike


@pytest.mark.parametrize(
    "pair", [("Ann", "ann"), ("Ann Lee", "Ann\u00a0Lee"), ("STRASSE", "strasse"), ("ﬁn", "fin")]
)
def test_names_that_look_alike(pair: tuple[str, str]) -> None:
    (note,) = notes(["Bob", *pair, "Carl"])
    assert repr(min(pair)) in note
    assert repr(max(pair)) in note


@pytest.mark.parametrize("ids", [["Ann", "Bob"], ["u1"], [], ["1x", "2x", "3x", "10"], ["-1", "1"]])
def test_no_word_on_plain_names(ids: list[str]) -> None:
    assert notes(ids) == []


def test_no_word_on_too_many() -> None:
    assert notes(["Ann", "ann"], n=2_000_001) == []
