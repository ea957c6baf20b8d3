"""Stage judge: audits of the night's tables and gates against the reference run, before publishing.

A night that fails stays in scratch with everything it made; `why.json` beside it has the numbers.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mfspark.errors import RefusedError
from mfspark.evaluation.audits import (
    AuditFinding,
    ListContract,
    audit_counts,
    audit_lists,
    audit_served,
    audit_tables,
)
from mfspark.evaluation.gates import Verdict, of_audits
from mfspark.models.records import SERVING
from mfspark.pipeline.context import RunContext
from mfspark.pipeline.gates import JudgedNight, compare
from mfspark.tables.manifest import as_json, plain
from mfspark.tables.night import WHY, Night
from mfspark.tables.run import PublishedRun
from mfspark.tables.sql import Tables
from mfspark.tables.table_files import TableFiles

if TYPE_CHECKING:
    from mfspark.evaluation.champion import Champion
    from mfspark.pipeline.dataset import Dataset
    from mfspark.pipeline.fits import Fits

_SHOWN = 8  # reasons in the message; the file has all
_log = logging.getLogger(__name__)


def run(
    context: RunContext, dataset: Dataset, fits: Fits, champion: Champion
) -> list[dict[str, Any]]:
    """Return the verdicts as the manifest keeps them.

    Raises RefusedError where an audit or an enforced gate fails; `why.json` is written first.
    """
    night, options = context.night, context.config.gates
    reference = PublishedRun(night.warehouse, night.reference_run) if night.reference_run else None
    with tempfile.TemporaryDirectory(prefix="mfspark-") as folder:
        spill = night.storage.local(night.scratch("duckdb")) or Path(folder)
        tables = _tables(night, reference, spill)
        verdicts: list[Verdict] = []
        if options.audits.mode != "off":
            verdicts += of_audits(_audit(dataset, fits, champion, tables), options.audits.mode)
        manifest = reference.manifest if reference else None
        before = reference.record(SERVING) if reference else None
        served = (before.model, champion.model) if before else None
        judged = JudgedNight(tables, context.config, dataset.report, manifest, served)
        verdicts += [verdict for verdict in compare(judged) if verdict.mode != "off"]
    failures = [verdict for verdict in verdicts if verdict.outcome == "failed"]
    for verdict in failures:
        if not verdict.refuses:  # the others are in the error
            _log.warning("%s, %s: %s", verdict.gate, verdict.subject, verdict.why)
    if any(verdict.refuses for verdict in failures):
        raise _refuse(night, verdicts)
    return [verdict.record() for verdict in verdicts]


def _tables(night: Night, reference: PublishedRun | None, spill: Path) -> Tables:
    """Return the tables of the night, and those of the reference run as `{reference.NAME}`.

    spill: where DuckDB puts what does not fit its memory.
    """

    def files(name: str) -> TableFiles:
        if reference and name.startswith("reference."):
            return reference.files(name.removeprefix("reference."))
        return night.files(name)

    return Tables(files, spill)


def _audit(
    dataset: Dataset, fits: Fits, champion: Champion, tables: Tables
) -> Iterator[AuditFinding]:
    report, names = dataset.report, dataset.context.night.table_names()
    expected = {
        "ratings": report.n_accepted,
        "rejected_ratings": report.n_rejected,
        "users": report.n_users,
        "items": report.n_items,
    }
    if "completed" in names:
        expected["completed"] = report.n_users * report.n_items
    actual = {name: tables.rows(f"select count(*) as n from {{{name}}}")[0]["n"] for name in names}
    yield from audit_counts(actual, expected)
    yield from audit_tables(tables.rows, names, report.rating_scale)
    contract, n_served = _contract(dataset, fits), dataset.context.config.n_served
    ranked, models = not dataset.context.config.publish.reranks, (champion.model,)
    served = replace(contract, table="serving", n=n_served, models=models, ranked=ranked)
    yield from audit_lists(tables.rows, contract)
    yield from audit_lists(tables.rows, served)
    if ranked:
        yield from audit_served(tables.rows)


def _contract(dataset: Dataset, fits: Fits) -> ListContract:
    config, subset = dataset.context.config, dataset.published
    options, models = config.publish, config.models.run
    of_ratings = [name for name in models if fits.model(name, subset).list_kind == "rating"]
    seen = "select user_id, item_id from {ratings}"
    if subset == "train":  # whose test ratings may be listed
        measured = "(from {test_predictions} where model = 'baseline')"
        seen += f" anti join {measured} using (user_id, item_id)"
    return ListContract(
        n=options.n,
        models=models,
        rating_models=tuple(of_ratings),
        scale=dataset.report.rating_scale if options.clamp else None,
        rounded=options.round_to != 0,
        allow=options.allow_items,
        deny=options.deny_items,
        seen=seen,
    )


def _refuse(night: Night, verdicts: list[Verdict]) -> RefusedError:
    refusing = [verdict for verdict in verdicts if verdict.refuses]
    reasons = [f"{verdict.gate}, {verdict.subject}: {verdict.why}" for verdict in refusing]
    key = night.scratch(WHY)
    why = {
        "run_id": night.run_id,
        "run_date": night.run_date,
        "refused_at": datetime.now(UTC),
        "reference_run": night.reference_run,
        "reasons": reasons,
        "verdicts": [verdict.record() for verdict in verdicts],
    }
    night.storage.put(key, as_json(plain(why)))
    gates = sorted({verdict.gate for verdict in refusing})
    settings = [word for gate in gates for word in ("--set", f"gates.{gate}.mode=warn")]
    again = f"run the same command with {' '.join(settings)}"
    if night.asked:
        again = night.asked.of("publish", *settings)
    seen = night.warehouse.current()
    shown = [f"  - {reason}" for reason in reasons[:_SHOWN]]
    if len(refusing) > _SHOWN:
        shown.append(f"  - and {len(refusing) - _SHOWN} more")
    error = RefusedError(
        "\n".join([f"run {night.run_id} was not published:", *shown]),
        f"readers still see {f'run {seen}' if seen else 'nothing'}; every figure is in "
        f"{night.storage.show(key)}, the tables are in {night.storage.show(night.tables_key)}\n"
        f"  to publish it all the same, from where it is: {again}",
    )
    error.reasons = tuple(reasons)
    return error
