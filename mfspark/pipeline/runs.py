"""The published runs of a warehouse, from their manifests alone; needs no Spark."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mfspark.errors import MfsparkError
from mfspark.tables.warehouse import Warehouse

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path


@dataclass(frozen=True)
class RunLine:
    """One published run in a listing; `problem` says why nothing else is known of it."""

    run_id: str
    current: bool
    run_date: date | None = None
    published_at: datetime | None = None
    n_ratings: int | None = None
    n_rejected: int | None = None
    best: tuple[str, float] | None = None
    """The model with the lowest RMSE, and its RMSE."""
    problem: str = ""

    def age_hours(self, now: datetime | None = None) -> float | None:
        """Return the hours since it was published."""
        if self.published_at is None:
            return None
        return ((now or datetime.now(UTC)) - self.published_at).total_seconds() / 3600


def published_runs(warehouse: str | Path) -> list[RunLine]:
    """Return the kept runs, newest first; a damaged manifest is reported in its own line.

    Raises NotFoundError when there is no warehouse or nothing was published in it.
    """
    opened = Warehouse(warehouse)
    current = opened.current()
    if current is None:
        opened.manifest()  # raises, and says which of the two it is
    return [_line(opened, run_id, current == run_id) for run_id in opened.run_ids()]


def _line(warehouse: Warehouse, run_id: str, current: bool) -> RunLine:
    try:
        manifest = warehouse.manifest(run_id)
    except MfsparkError as error:
        return RunLine(run_id, current, problem=error.message)
    rmse = {m["model"]: m["value"] for m in manifest.metrics if m.get("metric") == "rmse"}
    best = min(rmse, key=lambda model: rmse[model]) if rmse else None
    ingest = manifest.stages.get("ingest", {})
    return RunLine(
        run_id,
        current,
        manifest.run_date,
        manifest.published_at,
        ingest.get("n_accepted"),
        ingest.get("n_rejected"),
        (best, rmse[best]) if best else None,
    )
