"""Counts over the rows as read, by Spark."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from mfspark.errors import InputError
from mfspark.ingest.ids import has_point_zero, is_plain_integer
from mfspark.ingest.readers.ratings import TALLY
from mfspark.ingest.row_counts import ACCEPTED, LATER, IdForms, RowCounts
from mfspark.schemas import SIDES

_TALLY = "tally"
_FEW = 100  # ratings, of which none is told apart
_MANY = 0.2  # of the ratings are 0, and no other is below 1: it is probably no rating
_APART = 0.25  # of the range of the others, where they are on no common step
_STEPS = (1.0, 0.5, 0.25, 0.2, 0.1)


def kind_of(until: date | None) -> Column:
    """Return a row's reason, or whether it is accepted or belongs to a later night."""
    kind = F.coalesce(F.when(F.col("cell") == TALLY, _TALLY), "reason", F.lit(ACCEPTED))
    if until is None:
        return kind
    next_day = F.lit((until + timedelta(days=1)).isoformat()).cast("timestamp")
    return F.when(F.col("reason").isNull() & (F.col("rated_at") >= next_day), LATER).otherwise(kind)


def count_rows(rows: DataFrame, until: date | None, n_tasks: int) -> RowCounts:
    """Count rows by kind; one pass, a row a kind to the driver.

    Raises InputError where the rows are not as many as the `n_tasks` tasks that read them say.
    """
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
            F.sum("line").alias("lines"),
            F.min_by(F.struct("file", "line", "raw"), place).alias("example"),
            F.min("rating").alias("low"),
            F.max("rating").alias("high"),
            *(F.count_if(is_plain_integer(f"{side}_id")).alias(f"{side}_plain") for side in SIDES),
            *(F.count_if(_is_point_zero(f"{side}_id")).alias(f"{side}_zero") for side in SIDES),
            *on_step,
        )
        .collect()
    )
    by_kind = {row.kind: row.n for row in sorted(found, key=lambda row: (-row.n, row.kind))}
    good = next((row.asDict() for row in found if row.kind == ACCEPTED), dict[str, Any]())
    tasks = by_kind.pop(_TALLY, 0)
    given = next((row.lines for row in found if row.kind == _TALLY), 0)
    n_rows = sum(by_kind.values())
    if (tasks, given) != (n_tasks, n_rows):
        raise InputError(
            f"{n_tasks:,} tasks read the ratings; {tasks:,} of them wrote {given:,} rows, and "
            f"{n_rows:,} are there",
            "the scratch folder was changed meanwhile, or its file system loses files",
        )
    forms = {
        side: IdForms(good.get(f"{side}_plain", 0), good.get(f"{side}_zero", 0), good.get("n", 0))
        for side in SIDES
    }
    return RowCounts(
        n_rows=n_rows,
        by_kind=by_kind,
        examples={row.kind: row.example for row in found},
        low=good.get("low", 0.0),
        high=good.get("high", 0.0),
        step=next((s for i, s in enumerate(_STEPS) if good.get(f"step{i}")), None),
        users=forms["user"],
        items=forms["item"],
    )


def _is_point_zero(column: str) -> Column:
    """Return whether an id ends in .0; plain integers, as most are, are not searched."""
    return F.when(is_plain_integer(column), F.lit(False)).otherwise(has_point_zero(column))


def rating_apart(accepted: DataFrame, counts: RowCounts) -> str:
    """Say which rating at the end of the scale looks like a code for "not rated"; "" where none.

    One pass over the ratings. Such a code is not positive and below all others (-1, 0), or as far
    from them as they are from one another (99).
    """
    low, high, rating = counts.low, counts.high, F.col("rating")
    found = accepted.agg(
        F.min(F.when(rating > low, rating)).alias("second"),
        F.max(F.when(rating < high, rating)).alias("last_but_one"),
        F.count_if(rating == low).alias("n_low"),
        F.count_if(rating == high).alias("n_high"),
        F.count("*").alias("n"),
    ).first()
    if found is None or found.n < _FEW or not (found.second or 0) < (found.last_but_one or 0):
        return ""  # too few ratings, or different ones, to tell
    gap, others = found.second - low, high - found.second
    wide = gap > (1.5 * counts.step if counts.step else _APART * others)
    if (low <= 0 < found.second and (wide or found.n_low >= _MANY * found.n)) or gap >= others:
        return _in_words(low, found.n_low, found.n, found.second, high)
    if high - found.last_but_one >= found.last_but_one - low:
        return _in_words(high, found.n_high, found.n, low, found.last_but_one)
    return ""


def _in_words(code: float, n: int, n_all: int, low: float, high: float) -> str:
    return (
        f"rating {code:g} ({n:,} of {n_all:,}) stands apart from all others ({low:g} to {high:g}): "
        f'if it means "not rated", set ingest.missing_ratings = [{code:g}]'
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
