"""What ingest reports survives being written as JSON and read again."""

from __future__ import annotations

import json
from dataclasses import asdict

from pydantic import TypeAdapter

from mfspark.ingest.report import IngestReport, SideCounts
from mfspark.schemas import IdTypes

REPORT = IngestReport(
    n_rows=11,
    n_accepted=8,
    n_rejected=2,
    n_later=1,
    rejected_by_reason={"missing_user": 1, "rating_not_a_number": 1},
    rating_scale=(0.5, 5.0),
    rating_step=None,
    ids=IdTypes("integer", "string"),
    n_users=4,
    n_items=5,
    described_items=SideCounts(n=5, n_unrated=1, n_duplicates=2, n_skipped=3),
    read_as={"ratings.csv": "text split by ','"},
)


def test_json_gives_an_equal_report() -> None:
    content = json.loads(json.dumps(asdict(REPORT)))
    assert TypeAdapter(IngestReport).validate_python(content) == REPORT
