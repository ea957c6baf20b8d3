"""The runs that are kept: their order, figures, age, and what is damaged."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from mfspark.errors import NotFoundError
from mfspark.queries.runs import RunLine, published_runs
from mfspark.tables.warehouse import Warehouse
from tests.support import made_run as made
from tests.support.places import run_dir


def test_runs_are_listed_newest_first_with_their_figures(tmp_path: Path) -> None:
    first = made.publish_run(tmp_path)
    second = made.publish_run(tmp_path, date(2026, 11, 23))
    lines = published_runs(Warehouse(tmp_path))
    assert [(line.run_id, line.current) for line in lines] == [(second, True), (first, False)]
    assert (lines[0].n_ratings, lines[0].n_rejected, lines[0].best) == (8, 2, ("als", 0.875))


def test_one_damaged_manifest_does_not_hide_the_other_runs(tmp_path: Path) -> None:
    first = made.publish_run(tmp_path)
    made.publish_run(tmp_path, date(2026, 11, 23))
    (run_dir(Warehouse(tmp_path), first) / "manifest.json").write_text("{")
    lines = published_runs(Warehouse(tmp_path))
    assert lines[0].problem == ""
    assert "is damaged" in lines[1].problem


def test_no_warehouse_and_nothing_published_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing was published"):
        published_runs(Warehouse(tmp_path))
    with pytest.raises(NotFoundError, match="there is no warehouse"):
        published_runs(Warehouse(tmp_path / "nowhere"))


def test_the_age_counts_from_publishing() -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    line = RunLine("x", current=True, published_at=now - timedelta(minutes=90))
    assert line.age_hours(now) == 1.5
    assert RunLine("x", current=True).age_hours(now) is None
