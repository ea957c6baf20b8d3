"""What readers see, as Prometheus scrapes it: text for the textfile collector of node_exporter.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mfspark.errors import ConfigError, MfsparkError
from mfspark.models.published_facts import ingest_of
from mfspark.models.records import SERVING
from mfspark.queries.runs import OpenNight, open_nights
from mfspark.storage.posix import PosixStorage
from mfspark.tables.run import PublishedRun
from mfspark.tables.step_times import all_step_times
from mfspark.tables.warehouse import Warehouse

Sample = tuple[Mapping[str, object], float | None]
"""Labels and a value; without a value there is no line."""


@dataclass(frozen=True)
class Family:
    """A metric in the sense of Prometheus, always a gauge: a name, and its samples by label."""

    name: str
    help: str
    samples: Iterable[Sample]

    def lines(self) -> Iterator[str]:
        """Yield its lines; none where it has no sample."""
        samples = [(labels, value) for labels, value in self.samples if value is not None]
        if samples:
            yield f"# HELP mfspark_{self.name} {self.help}"
            yield f"# TYPE mfspark_{self.name} gauge"
        for labels, value in samples:
            shown = ",".join(f'{name}="{_escaped(one)}"' for name, one in labels.items())
            yield f"mfspark_{self.name}{f'{{{shown}}}' if shown else ''} {float(value)!r}"


def write_exposition(warehouse: Warehouse, target: Path) -> None:
    """Write the text to a file, which is replaced by one rename: a scrape never sees half of it.

    Raises ConfigError where it cannot be written.
    """
    text = exposition(warehouse)
    folder = target.absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"cannot write {target}: there is no directory {folder}", "make it first")
    try:
        PosixStorage(str(folder)).put(target.name, text.encode())
    except MfsparkError as error:
        raise ConfigError(error.message, "name a file that this user can write") from error


def exposition(warehouse: Warehouse) -> str:
    """Return the text. Of a warehouse where nothing was published it tells the open nights alone.

    Raises NotFoundError where there is no warehouse, MfsparkError for a damaged manifest.
    """
    current, nights = warehouse.current(), open_nights(warehouse)
    if current is None and not nights:
        warehouse.manifest()  # raises, and says why
    families = [*(_of_run(PublishedRun(warehouse)) if current else ()), *_of_nights(nights)]
    families += [_verdicts(warehouse, current, nights), _steps(warehouse)]
    return "".join(f"{line}\n" for family in families for line in family.lines())


def _of_run(run: PublishedRun) -> Iterator[Family]:
    manifest, ingest, champion = run.manifest, ingest_of(run), run.record(SERVING)
    facts = {
        "run_id": run.run_id,
        "run_date": manifest.run_date,
        "served": champion.model if champion else "",
        "version": manifest.versions.get("mfspark", ""),
    }
    yield Family("run_info", "The run that readers see.", [(facts, 1)])
    published = manifest.published_at.timestamp()
    yield Family("published_timestamp_seconds", "When it was published.", [({}, published)])
    rows = [({"table": name}, table.rows) for name, table in manifest.tables.items()]
    yield Family("table_rows", "Rows of its tables.", rows)
    counts = {
        "read": ingest.n_rows,
        "accepted": ingest.n_accepted,
        "rejected": ingest.n_rejected,
        "later": ingest.n_later,
    }
    came_in = [({"outcome": name}, n) for name, n in counts.items()]
    yield Family("input_rows", "Rows of its files of ratings, by what became of them.", came_in)
    rejected = [({}, ingest.rejected_share)]
    yield Family("rejected_share", "Share of the rows that were rejected.", rejected)
    reasons = [({"reason": name}, n) for name, n in ingest.rejected_by_reason.items()]
    yield Family("rejected_rows", "Rejected rows, by reason.", reasons)
    yield from _figures(run)


def _figures(run: PublishedRun) -> Iterator[Family]:
    about = {
        "value": ("metric", "Metrics of its models on test ratings."),
        "low": ("metric_low", "Lower ends of the 95% intervals of metrics."),
        "high": ("metric_high", "Upper ends of the 95% intervals of metrics."),
    }
    for column, (name, text) in about.items():
        samples = [
            ({"model": row["model"], "metric": row["metric"], "k": row["k"] or ""}, row[column])
            for row in run.manifest.metrics
        ]
        yield Family(name, text, samples)


def _of_nights(nights: list[OpenNight]) -> Iterator[Family]:
    states = Counter("refused" if night.refused_at else "open" for night in nights)
    counted = [({"state": state}, states[state]) for state in ("open", "refused")]
    yield Family("nights", "Nights not published: open (interrupted, running) or refused.", counted)
    moments = [night.refused_at.timestamp() for night in nights if night.refused_at]
    latest = [({}, max(moments, default=None))]
    yield Family("refused_timestamp_seconds", "When the last of them was refused.", latest)


def _verdicts(warehouse: Warehouse, current: str | None, nights: list[OpenNight]) -> Family:
    """Return what gates said last: of a night that was refused since, or of the current run."""
    published = warehouse.manifest(current) if current else None
    refused = [(night.refused_at, night) for night in nights if night.refused_at]
    last = max(refused, default=None, key=lambda one: one[0])
    if last and (published is None or last[0] > published.published_at):
        verdicts = list(last[1].verdicts)
    else:
        verdicts = published.verdicts if published else []
    passed: dict[tuple[str, str, str], bool] = {}
    for each in verdicts:
        if each["outcome"] != "skipped":
            key = each["gate"], each["subject"], each["mode"]
            passed[key] = each["outcome"] == "passed" and passed.get(key, True)
    samples = [
        ({"gate": gate, "subject": subject, "mode": mode}, float(ok))
        for (gate, subject, mode), ok in passed.items()
    ]
    return Family(
        "gate_passed", "1 or 0: what gates said of the night that they saw last.", samples
    )


def _steps(warehouse: Warehouse) -> Family:
    samples = [
        ({"work": work, "step": step}, seconds)
        for work, steps in all_step_times(warehouse.storage).items()
        for step, seconds in steps.items()
    ]
    return Family("step_seconds", "What the steps of the last night took.", samples)


def _escaped(value: object) -> str:
    return str(value).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
