"""A refused night is read where it lies, as a published run is."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from mfspark.errors import MfsparkError, NotFoundError
from mfspark.evaluation.gates import Verdict
from mfspark.queries.lookup import list_of
from mfspark.queries.refused_run import RefusedRun, is_refused
from mfspark.tables.run import PublishedRun
from mfspark.tables.warehouse import Warehouse
from tests.support import made_run as made

WORSE = Verdict("ranking", "als", "enforce", "failed", "NDCG fell", value=0.3, threshold=0.1)


@pytest.fixture
def refused(tmp_path: Path) -> tuple[Warehouse, str]:
    """A warehouse whose night of the 23rd was refused after that of the 22nd."""
    made.publish_run(tmp_path)
    return Warehouse(tmp_path), made.refuse_run(tmp_path, date(2026, 11, 23), [WORSE], served="als")


def test_its_tables_figures_and_reasons_are_there(refused: tuple[Warehouse, str]) -> None:
    warehouse, run_id = refused
    assert is_refused(warehouse, run_id)
    run, published = RefusedRun(warehouse, run_id), PublishedRun(warehouse)
    assert run.reasons == ("ranking, als: NDCG fell",)
    assert run.manifest.verdicts[0]["gate"] == "ranking"
    assert run.manifest.current_run == published.run_id
    assert run.figures("rmse") == published.figures("rmse")
    assert run.manifest.tables.keys() == published.manifest.tables.keys()
    assert [row["item_id"] for row in list_of(run, "1", None, 9).rows] == ["i4", "i3", "i5"]
    assert run.place.endswith(f"scratch/{run_id}/tables")


def test_a_published_run_is_no_refused_night(refused: tuple[Warehouse, str]) -> None:
    warehouse, _ = refused
    current = warehouse.current() or ""
    left = Path(warehouse.root, "scratch", current)
    left.mkdir()
    (left / "why.json").write_text("{}")  # refused once, published later, not yet cleared away
    assert not is_refused(warehouse, current)
    for run_id in (current, "2026-11-24-00000000", "nothing"):
        with pytest.raises(NotFoundError, match="no refused night"):
            RefusedRun(warehouse, run_id)


def test_damaged_notes_are_said_to_be_damaged(refused: tuple[Warehouse, str]) -> None:
    warehouse, run_id = refused
    Path(warehouse.root, "scratch", run_id, "why.json").write_text("{")
    with pytest.raises(MfsparkError, match="damaged"):
        RefusedRun(warehouse, run_id)
