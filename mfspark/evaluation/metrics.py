"""Metrics of rating predictions and of ranked lists, with 95% confidence intervals.

First per user (`user_errors`, `user_ranks`, and figures of lists; together they are table
`user_metrics`), then per model (`rating_metrics`, `ranking_metrics`, `mean_metrics`), or by model
and whatever else `by` names. Each function is one lazy Spark aggregate over all models at once.
Which metrics there are: `evaluation.catalog`; formulas: docs/evaluation.md.
"""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from mfspark.evaluation import catalog
from mfspark.evaluation.catalog import Z95, Metric, MetricKind

BY_MODEL = ("model",)


def user_errors(predictions: DataFrame, by: Sequence[str] = BY_MODEL) -> DataFrame:
    """Return each user's sums of errors: a row a (model, user) with columns of `user_metrics`.

    `predictions`: model, user_id, rating, prediction (never null), prediction_low and
    prediction_high (null where the model has none), one row a model and test pair. n_intervals
    counts predictions with an interval, n_inside the ratings inside, ends included, interval_width
    is the sum of the widths. One shuffle by (model, user).
    """
    low, high = F.col("prediction_low"), F.col("prediction_high")
    error = F.col("prediction") - F.col("rating")
    return predictions.groupBy(*by, "user_id").agg(
        F.count(F.lit(1)).alias("n_test"),
        F.sum(error * error).alias("squared_error"),
        F.sum(F.abs(error)).alias("absolute_error"),
        F.count(low).alias("n_intervals"),
        F.sum(F.col("rating").between(low, high).cast("bigint")).alias("n_inside"),
        F.sum(high - low).alias("interval_width"),
    )


def rating_metrics(users: DataFrame, by: Sequence[str] = BY_MODEL) -> DataFrame:
    """Return RMSE, MAE and the like of each model, with intervals clustered by user.

    `users` is what `user_errors` gives. Returns (model, metric, k, value, low, high, n); `n` is the
    number of test ratings. Intervals are null below two users. Of models that predict an interval
    also interval_coverage, the share of ratings inside, and interval_width, the mean width; their
    `n` counts predictions with an interval. One shuffle by model.
    """
    n_test = F.col("n_test")
    of_ratings, of_intervals = catalog.of_kind("rating"), catalog.of_kind("interval")
    losses = dict.fromkeys(metric.columns[0] for metric in of_ratings)
    parts = dict.fromkeys(name for metric in of_intervals for name in metric.columns)
    models = users.groupBy(*by).agg(
        F.count(F.lit(1)).alias("n_users"),
        F.sum(n_test).alias("n"),
        F.sum(n_test * n_test).alias("nn"),
        *(total for loss in losses for total in _clustered_sums(loss)),
        *(F.sum(name).alias(name) for name in parts),
    )
    rows = [*map(_clustered, of_ratings), *map(_quotient, of_intervals)]
    return _rows(models, by, *rows).filter("n > 0")


def _clustered_sums(loss: str) -> tuple[Column, Column, Column]:
    """Return the sums over users of S_u, S_u^2 and S_u n_u, where S_u is a user's summed loss."""
    total = F.col(loss)
    return (
        F.sum(total).alias(loss),
        F.sum(total * total).alias(f"{loss}_sq"),
        F.sum(total * F.col("n_test")).alias(f"{loss}_n"),
    )


def _quotient(metric: Metric) -> Column:
    """Return the row of a quotient of two sums over users, without an interval."""
    total, n = metric.columns
    return _row(metric, None, F.try_divide(total, F.col(n)), None, None, F.col(n))


def _clustered(metric: Metric) -> Column:
    """Return the row of a mean loss L = sum S_u / sum n_u whose ratings are clustered by user.

    Var(L) = sum (S_u - L n_u)^2 / (sum n_u)^2, the linearisation of a ratio of two sums; expanded,
    so that no second pass over the users is needed. The root, where the metric is one, is taken of
    L and of its interval's ends.
    """
    n, loss = F.col("n"), metric.columns[0]
    mean = F.col(loss) / n
    residual = F.col(f"{loss}_sq") - 2 * mean * F.col(f"{loss}_n") + mean * mean * F.col("nn")
    half = Z95 * F.sqrt(F.greatest(residual, F.lit(0.0))) / n  # rounding may leave it below 0
    known = F.col("n_users") >= 2

    def scale(loss: Column) -> Column:
        return F.sqrt(loss) if metric.root else loss

    low = F.when(known, scale(F.greatest(mean - half, F.lit(0.0))))
    return _row(metric, None, scale(mean), low, F.when(known, scale(mean + half)), n)


def user_ranks(
    lists: DataFrame, test: DataFrame, k: int, relevant_from: float, parts: Sequence[str] = ()
) -> DataFrame:
    """Return each user's ranking metrics at k, as `user_metrics` has them: a row a (model, user).

    `lists`: model, user_idx, rank (from 1), item_idx, no item twice in a list; rows ranked below k
    are left out. `test`: user_idx, item_idx, rating, and the columns `parts` of what is measured
    apart (a row a model, user and part then); ratings from `relevant_from` on are relevant.
    Every model with any list has a row for every user with a relevant test item (`n_relevant` of
    them); a user without a list, or without a hit, has zeros. Shuffles the top-k lists by (user,
    item), and the hits by (model, user). `lists` and `test` are read twice: give them from disk or
    persisted, not as an unfinished computation.
    """
    top = _top(lists, k)
    chosen = test.filter(F.col("rating") >= relevant_from)
    relevant = chosen.select("user_idx", "item_idx", *parts)
    n_relevant = relevant.groupBy("user_idx", *parts).agg(F.count(F.lit(1)).alias("n_relevant"))
    hits = top.join(relevant, ["user_idx", "item_idx"])
    ranks = hits.groupBy("model", "user_idx", *parts).agg(
        F.sort_array(F.collect_list("rank")).alias("ranks")
    )
    everybody = top.select("model").distinct().crossJoin(n_relevant)  # a few rows a user
    return everybody.join(ranks, ["model", "user_idx", *parts], "left").select(
        "model",
        "user_idx",
        *parts,
        "n_relevant",
        *(F.coalesce(value, F.lit(0.0)).alias(name) for name, value in _of_hits(k).items()),
    )


def ranking_metrics(
    lists: DataFrame, users: DataFrame, k: int, n_candidates: int | None
) -> DataFrame:
    """Return precision, recall, recall_capped, NDCG, hit rate, MRR and MAP at k, and coverage.

    `users` is what `user_ranks` gives of `lists`. Returns (model, metric, k, value, low, high, n).
    Means are over all users with a relevant test item (`n` of them; value null where there are
    none). `coverage`, the share of the `n_candidates` items that is in any list, is given where
    `n_candidates` is. A model without any list has no rows. One shuffle of users and one of the
    listed items by model.
    """
    models = (
        _top(lists, k)
        .groupBy("model")
        .agg(F.count_distinct("item_idx").alias("n_covered"))
        .join(_sums(users, "ranking", BY_MODEL), "model", "left")
        .fillna(0, "n_users")  # null where no user has a relevant test item
    )
    rows = [_mean_over_users(metric, k) for metric in catalog.of_kind("ranking")]
    if n_candidates:
        covered = F.col("n_covered") / F.lit(float(n_candidates))
        rows.append(_row(catalog.COVERAGE, k, covered, None, None, F.lit(n_candidates)))
    return _rows(models, BY_MODEL, *rows)


def mean_metrics(
    users: DataFrame, kind: MetricKind, k: int, by: Sequence[str] = BY_MODEL
) -> DataFrame:
    """Return the means over users of all metrics of a kind at k, as (*by, metric, k, value, ...).

    `kind`: `ranking`, of users with a relevant test item; or `listed`, each over the users who have
    it. One shuffle.
    """
    sums = _sums(users, kind, by)
    rows = [_mean_over_users(metric, k) for metric in catalog.of_kind(kind)]
    return _rows(sums, by, *rows).filter("n > 0")


def _sums(users: DataFrame, kind: MetricKind, by: Sequence[str]) -> DataFrame:
    """Return what means over users are made of: how many there are, sums, and sums of squares."""
    names = list(dict.fromkeys(metric.columns[0] for metric in catalog.of_kind(kind)))
    counts = [F.count(name).alias(f"{name}_n") for name in names]
    sums = [F.sum(name).alias(name) for name in names]
    squares = [F.sum(F.col(name) * F.col(name)).alias(f"{name}_sq") for name in names]
    everybody = F.count(F.lit(1)).alias("n_users")
    return users.groupBy(*by).agg(everybody, *counts, *sums, *squares)


def _top(lists: DataFrame, k: int) -> DataFrame:
    return lists.filter(F.col("rank") <= k).select("model", "user_idx", "rank", "item_idx")


def _of_hits(k: int) -> dict[str, Column]:
    """Return the metrics of one list from `ranks`, those of its hits in order, and n_relevant."""
    n_hits, capped = F.size("ranks"), F.least(F.col("n_relevant"), F.lit(k))
    precisions = F.transform("ranks", lambda rank, index: (index + 1) / rank)  # at each hit
    gains = F.transform("ranks", lambda rank: 1 / F.log2(rank + 1))
    ideal = F.transform(F.sequence(F.lit(1), capped), lambda rank: 1 / F.log2(rank + 1))
    return {
        "precision": n_hits / F.lit(k),
        "recall": n_hits / F.col("n_relevant"),
        "recall_capped": n_hits / capped,
        "ndcg": _total(gains) / _total(ideal),
        "hit_rate": F.when(n_hits > 0, 1.0),
        "mrr": 1 / F.element_at("ranks", 1),
        "map": _total(precisions) / capped,
    }


def _total(numbers: Column) -> Column:
    """Sum an array of doubles from left to right."""
    return F.aggregate(numbers, F.lit(0.0), lambda total, number: total + number)


def _mean_over_users(metric: Metric, k: int) -> Column:
    """Return the row mean +- 1.96 s / sqrt(n) over users, kept inside what it can be."""
    name = metric.columns[0]
    n = F.col("n_users") if metric.kind == "ranking" else F.col(f"{name}_n")
    total, squares = F.col(name), F.col(f"{name}_sq")
    mean = F.when(n > 0, total / F.greatest(n, F.lit(1)))
    spread = F.greatest(squares - mean * total, F.lit(0.0)) / F.greatest(n - 1, F.lit(1))
    half = F.when(n > 1, Z95 * F.sqrt(spread / n))
    # greatest() skips nulls, so an unknown interval must not reach it
    low = F.when(half.isNotNull(), F.greatest(mean - half, F.lit(0.0)))
    high = F.when(half.isNotNull(), F.least(mean + half, F.lit(metric.most)))
    return _row(metric, k, mean, low, high, n)


def _row(
    metric: Metric, k: int | None, value: Column, low: Column | None, high: Column | None, n: Column
) -> Column:
    unknown = F.lit(None).cast("double")
    return F.struct(
        F.lit(metric.name).alias("metric"),
        F.lit(k).cast("int").alias("k"),
        value.alias("value"),
        (unknown if low is None else low).alias("low"),
        (unknown if high is None else high).alias("high"),
        n.cast("bigint").alias("n"),
    )


def _rows(models: DataFrame, by: Sequence[str], *rows: Column) -> DataFrame:
    """Turn one wide row a model into one row a metric."""
    return models.select(*by, F.inline(F.array(*rows)))
