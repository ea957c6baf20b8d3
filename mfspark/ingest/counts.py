"""Counts over the rows as read, and the refusal of an input that is mostly rejected."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from mfspark.errors import InputError
from mfspark.ingest.ids import is_plain_integer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import Row

    from mfspark.config.config import IngestOptions

ACCEPTED, LATER = "accepted", "later"
_STEPS = (1.0, 0.5, 0.25, 0.2, 0.1)


@dataclass(frozen=True)
class RowCounts:
    """Counts over the rows as read, before duplicates are looked for."""

    n_rows: int
    by_kind: dict[str, int]
    examples: dict[str, Row]
    low: float
    high: float
    step: float | None
    users_plain: bool
    items_plain: bool

    @property
    def rejected(self) -> dict[str, int]:
        """Counts of the rejected rows by reason."""
        return {kind: n for kind, n in self.by_kind.items() if kind not in (ACCEPTED, LATER)}


def kind_of(until: date | None) -> Column:
    """Return a row's reason, or whether it is accepted or belongs to a later night."""
    kind = F.coalesce("reason", F.lit(ACCEPTED))
    if until is None:
        return kind
    next_day = F.lit((until + timedelta(days=1)).isoformat()).cast("timestamp")
    return F.when(F.col("reason").isNull() & (F.col("rated_at") >= next_day), LATER).otherwise(kind)


def count_rows(rows: DataFrame, until: date | None) -> RowCounts:
    """Count rows by kind; one pass, a row a kind to the driver."""
    rating = F.col("rating")
    on_step = [
        F.every(F.abs(rating / step - F.rint(rating / step)) < 1e-9).alias(f"step{i}")
        for i, step in enumerate(_STEPS)
    ]
    place = F.struct("file", "line", "cell")
    found = (
        rows.groupBy(kind_of(until).alias("kind"))
        .agg(
            F.count("*").alias("n"),
            F.min_by(F.struct("file", "line", "raw"), place).alias("example"),
            F.min("rating").alias("low"),
            F.max("rating").alias("high"),
            F.every(is_plain_integer("user_id")).alias("users_plain"),
            F.every(is_plain_integer("item_id")).alias("items_plain"),
            *on_step,
        )
        .collect()
    )
    by_kind = {row.kind: row.n for row in sorted(found, key=lambda row: (-row.n, row.kind))}
    good = next((row.asDict() for row in found if row.kind == ACCEPTED), dict[str, Any]())
    return RowCounts(
        n_rows=sum(by_kind.values()),
        by_kind=by_kind,
        examples={row.kind: row.example for row in found},
        low=good.get("low", 0.0),
        high=good.get("high", 0.0),
        step=next((s for i, s in enumerate(_STEPS) if good.get(f"step{i}")), None),
        users_plain=bool(good.get("users_plain", True)),
        items_plain=bool(good.get("items_plain", True)),
    )


def together(
    counts: RowCounts, scale: tuple[float, float], step: float | None
) -> tuple[tuple[float, float], float | None]:
    """Return the scale and step of tonight's ratings and the base run's, which are given."""
    if not counts.by_kind.get(ACCEPTED):
        return scale, step
    steps = (counts.step, step)
    common = next(
        (s for s in _STEPS if all(x and abs(x / s - round(x / s)) < 1e-9 for x in steps)), None
    )
    return (min(counts.low, scale[0]), max(counts.high, scale[1])), common


def too_many_rejected(counts: RowCounts, options: IngestOptions) -> bool:
    """Return whether more than the allowed share was rejected; duplicates do not count."""
    return sum(counts.rejected.values()) > options.max_rejected_share * counts.n_rows


def unusable(
    counts: RowCounts, names: Sequence[str], options: IngestOptions, until: date | None
) -> InputError:
    """Say how much was rejected, why, and show a row of each of the commonest reasons."""
    n, total = sum(counts.rejected.values()), counts.n_rows
    if not total:
        return InputError(f"no ratings in {', '.join(names[:3])}", "the input has no rows of data")
    later = counts.by_kind.get(LATER, 0)
    if later and not counts.by_kind.get(ACCEPTED) and not n:
        return InputError(
            f"all {later:,} ratings are later than {until}", "check the run date and the timestamps"
        )
    lines = [f"{n:,} of {total:,} rows ({n / total:.1%}) were rejected:"]
    for reason, count in list(counts.rejected.items())[:3]:
        at = counts.examples[reason]
        raw = at.raw if len(at.raw) <= 80 else at.raw[:77] + "..."
        lines.append(f"  {count:,} {reason}, such as {names[at.file]}:{at.line}: {raw}")
    return InputError(
        "\n".join(lines),
        "mend the input or name its columns (ingest.columns, ingest.format); up to "
        f"ingest.max_rejected_share = {options.max_rejected_share:g} of the rows may be rejected",
    )
