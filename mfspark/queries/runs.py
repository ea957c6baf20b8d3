"""The published runs of a warehouse, from their manifests alone; needs no Spark."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from mfspark.errors import MfsparkError
from mfspark.evaluation.catalog import RMSE
from mfspark.models.records import INGEST, SERVING
from mfspark.tables.night import WHY
from mfspark.tables.retention import scratch_nights
from mfspark.tables.waiting import waiting_nights
from mfspark.tables.warehouse import Warehouse


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
    served: tuple[str, str] | None = None
    """The model whose lists are served, and why; None where the run has no table `serving`."""
    problem: str = ""

    def age_hours(self, now: datetime | None = None) -> float | None:
        """Return the hours since it was published."""
        if self.published_at is None:
            return None
        return ((now or datetime.now(UTC)) - self.published_at).total_seconds() / 3600


def published_runs(warehouse: Warehouse) -> list[RunLine]:
    """Return the kept runs, newest first; a damaged manifest is reported in its own line.

    Raises NotFoundError when there is no warehouse or nothing was published in it.
    """
    current = warehouse.current()
    if current is None:
        warehouse.manifest()  # raises, and says which of the two it is
    return [_line(warehouse, run_id, current == run_id) for run_id in warehouse.run_ids()]


@dataclass(frozen=True)
class OpenNight:
    """A night in scratch: interrupted, running, or refused for `reasons`."""

    run_id: str
    begun_at: datetime | None
    refused_at: datetime | None
    reasons: tuple[str, ...]
    evidence: str | None
    """The file with every figure, where it was refused."""
    verdicts: tuple[dict[str, Any], ...] = ()
    """What gates and audits said, where it was refused."""
    go_on: str | None = None
    """The command that goes on with it, where it can still be published and that is known."""


def open_nights(warehouse: Warehouse) -> list[OpenNight]:
    """Return the nights in scratch, the latest date first."""
    waiting = (night for night in waiting_nights(warehouse) if night.asked)
    commands = {night.run_id: night.command("run") for night in waiting}
    found = [
        replace(_open(warehouse, run, note), go_on=commands.get(run))
        for run, note in scratch_nights(warehouse).items()
    ]
    return sorted(found, key=lambda night: night.run_id, reverse=True)


def _open(warehouse: Warehouse, run_id: str, note: dict[str, Any]) -> OpenNight:
    key = f"{warehouse.scratch_key(run_id)}/{WHY}"
    content, place = warehouse.storage.read(key), warehouse.storage.show(key)
    try:
        why: dict[str, Any] = json.loads(content) if content else {}
    except ValueError:
        why = {"reasons": [f"{place} is damaged"]}
    begun, refused = (
        datetime.fromisoformat(at) if at else None
        for at in (note.get("begun_at"), why.get("refused_at"))
    )
    return OpenNight(
        run_id,
        begun,
        refused,
        tuple(why.get("reasons", ())),
        place if why else None,
        tuple(why.get("verdicts", ())),
    )


def _line(warehouse: Warehouse, run_id: str, current: bool) -> RunLine:
    try:
        manifest = warehouse.manifest(run_id)
    except MfsparkError as error:
        return RunLine(run_id, current, problem=error.message)
    rmse = {m["model"]: m["value"] for m in manifest.metrics if m.get("metric") == RMSE.name}
    best = RMSE.best(rmse) if rmse else None
    ingest, champion = (manifest.stages.get(stage, {}) for stage in (INGEST.stage, SERVING.stage))
    return RunLine(
        run_id,
        current,
        manifest.run_date,
        manifest.published_at,
        ingest.get("n_accepted"),
        ingest.get("n_rejected"),
        (best, rmse[best]) if best else None,
        (champion["model"], champion["why"]) if champion else None,
    )
