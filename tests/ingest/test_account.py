"""The account of an intake: the same lines for the closing summary, stages and logs."""

from __future__ import annotations

from dataclasses import replace

from mfspark.ingest.account import account_of, notes_on
from mfspark.ingest.report import IngestReport, SideCounts
from mfspark.schemas import IdTypes

CLEAN = IngestReport(
    *(8, 8, 0, 0, {}, (1.0, 5.0), 1.0, IdTypes("integer", "string"), 4, 5),
    read_as={"a.csv": "text split by ','", "b.xlsx": "excel, wide"},
)


def test_clean_files_are_accounted_for_in_a_line_each() -> None:
    assert account_of(CLEAN) == [
        "8 rows read, 8 accepted, none rejected",
        "a.csv: text split by ','",
        "b.xlsx: excel, wide",
    ]
    assert list(notes_on(CLEAN)) == []


def test_rejected_rows_are_counted_by_reason() -> None:
    reasons = {"missing_user": 1_000, "bad_timestamp": 2}
    report = replace(CLEAN, n_rows=1_010, n_rejected=1_002, rejected_by_reason=reasons)
    assert account_of(report)[:3] == [
        "1,010 rows read, 8 accepted, 1,002 rejected, see table rejected_ratings:",
        "  missing_user  1,000",
        "  bad_timestamp  2",
    ]


def test_whatever_else_became_of_rows_is_noted() -> None:
    report = replace(
        CLEAN,
        n_later=1,
        n_carried=7,
        n_replaced=2,
        n_merged=3,
        described_users=SideCounts(9, 2, 1, 0),
        described_items=SideCounts(9, 0, 0, 4),
    )
    assert list(notes_on(report)) == [
        "left for later nights: 1 rating made after the run date",
        "added to 7 ratings of the base run, 2 of them renewed",
        "averaged: 3 ratings of items that share a title with another",
        "2 users of the user files rated nothing and are in no table",
        "passed over: 1 row of user files that list a user again",
        "passed over: 4 rows of item files that cannot be read",
    ]
