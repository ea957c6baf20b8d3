"""What a published night amounts to: its metrics, tables, rejected rows, and what is worth knowing.

Only reads what was published, so the summary of an old run is the same as on its night.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mfspark.schemas import other

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mfspark.queries.lookup import Row
    from mfspark.schemas import Side
    from mfspark.tables.run import PublishedRun

SHOWN_METRICS = ("rmse", "mae", "ndcg", "recall", "coverage")
LOWER_IS_BETTER = frozenset({"rmse", "mae"})
_FEW = 5  # ids that a note names


@dataclass(frozen=True)
class Measured:
    """One figure with its 95% interval, where it has one."""

    value: float
    low: float | None
    high: float | None
    best: bool
    """Whether no other model has a better value."""


@dataclass(frozen=True)
class ModelMetrics:
    """The figures of one model by metric; a metric it does not have is missing."""

    model: str
    measured: dict[str, Measured]


@dataclass(frozen=True)
class Summary:
    """Everything the closing summary says."""

    run_id: str
    directory: Path
    split: str
    k: int
    models: list[ModelMetrics]
    table_rows: dict[str, int]
    n_rows: int
    n_accepted: int
    rejected: dict[str, int]
    """Rejected rows by reason."""
    read_as: dict[str, str]
    """How each file was read."""
    example_user: str | None
    """A user of the run, for `mfspark show`."""
    notes: list[str]


def metric_titles(k: int) -> dict[str, str]:
    """Return what the shown metrics are called, by their names in table `metrics`."""
    return {
        "rmse": "RMSE",
        "mae": "MAE",
        "ndcg": f"NDCG@{k}",
        "recall": f"recall@{k}",
        "coverage": f"coverage@{k}",
    }


def count(n: int, noun: str) -> str:
    """Return such as `1 rating` or `1,000 ratings`."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def summarise(run: PublishedRun) -> Summary:
    """Collect what the closing summary of a published run says."""
    ingest, manifest = run.facts("ingest"), run.manifest
    evaluation = manifest.config["evaluation"]
    users = run.rows("select cast(user_id as varchar) as id from {users} order by user_id limit 1")
    return Summary(
        run.run_id,
        run.warehouse.run_dir(run.run_id),
        evaluation["split"],
        evaluation["k"],
        _metrics(manifest.metrics, run.models),
        {name: table.rows for name, table in manifest.tables.items()},
        ingest["n_rows"],
        ingest["n_accepted"],
        dict(ingest["rejected_by_reason"]),
        dict(ingest["read_as"]),
        str(users[0]["id"]) if users else None,
        list(_notes(run)),
    )


def _metrics(rows: list[dict[str, Any]], configured: tuple[str, ...]) -> list[ModelMetrics]:
    """Return the shown figures: configured models in their order, then the references."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        if row["metric"] in SHOWN_METRICS and row["value"] is not None:
            found.setdefault(row["model"], {})[row["metric"]] = row
    best = {metric: _best(metric, found) for metric in SHOWN_METRICS}
    order = [name for name in configured if name in found]
    order += [name for name in found if name not in configured]
    return [
        ModelMetrics(
            name,
            {
                metric: Measured(
                    row["value"], row["low"], row["high"], best=row["value"] == best[metric]
                )
                for metric, row in found[name].items()
            },
        )
        for name in order
    ]


def _best(metric: str, found: dict[str, dict[str, dict[str, Any]]]) -> float | None:
    values = [
        row["value"] for rows in found.values() for name, row in rows.items() if name == metric
    ]
    choose = min if metric in LOWER_IS_BETTER else max
    return choose(values) if len(set(values)) > 1 else None  # all equal: none is best


def _notes(run: PublishedRun) -> Iterator[str]:
    """Say what was asked for and cannot be had, and what a reader might not expect."""
    ingest = run.facts("ingest")
    yield from _about_input(ingest)
    yield from _about_lists(run, ingest)
    yield from _about_sizes(run, ingest)
    yield from _about_metrics(run)
    for verdict in run.manifest.verdicts:
        if verdict["outcome"] == "failed":
            yield f"gate {verdict['gate']} fails for {verdict['subject']}: {verdict['why']}"


def _about_input(ingest: Row) -> Iterator[str]:
    if later := ingest["n_later"]:
        yield f"left for later nights: {count(later, 'rating')} made after the run date"
    if merged := ingest.get("n_merged"):
        yield f"averaged: {count(merged, 'rating')} of items that share a title with another"
    users, items = ingest["described_users"], ingest["described_items"]
    if unrated := users["n_unrated"]:
        yield f"{count(unrated, 'user')} of the user files rated nothing and are in no table"
    if unrated := items["n_unrated"]:
        yield f"nobody rated {count(unrated, 'item')} of the catalogue"
    for side, described in (("user", users), ("item", items)):
        if twice := described["n_duplicates"]:
            yield f"passed over: {count(twice, 'row')} of {side} files that list a {side} again"
        if skipped := described["n_skipped"]:
            yield f"passed over: {count(skipped, 'row')} of {side} files that cannot be read"


def _about_lists(run: PublishedRun, ingest: Row) -> Iterator[str]:
    if limited := run.facts("eligible"):
        yield from _about_limits(run, limited, ingest["n_items"])
    else:
        yield from _about_lengths(run, ingest["n_items"])


def _about_limits(run: PublishedRun, limited: Row, n_items: int) -> Iterator[str]:
    """Say what publish.allow_items and deny_items left, and which of their ids are of no item."""
    for name, ids in limited["unknown_ids"].items():
        if ids:
            few = ", ".join(ids[:_FEW]) + (", ..." if len(ids) > _FEW else "")
            yield f"publish.{name}: passed over {count(len(ids), 'id')} that no item has: {few}"
    n, n_eligible = run.manifest.config["publish"]["n"], limited["n_eligible"]
    short = f"; publish.n = {n} asked, so that every list is shorter" if n_eligible < n else ""
    yield (
        f"lists may hold {n_eligible:,} of {count(n_items, 'item')} "
        f"(publish.allow_items, publish.deny_items){short}"
    )


def _about_lengths(run: PublishedRun, n_items: int) -> Iterator[str]:
    n = run.manifest.config["publish"]["n"]
    short = run.rows(
        """with unseen as (select $1 - coalesce(n_ratings, 0) as n from {users})
           select count(*) as users, min(n) as fewest, max(n) as most from unseen where n < $2""",
        n_items,
        n,
    )[0]
    if short["users"]:
        fewest, most = short["fewest"], short["most"]
        unseen = f"{most}" if fewest == most else f"{fewest} to {most}"
        users = count(short["users"], "user")
        yield (
            f"publish.n = {n} asked, only {unseen} unseen items exist for {users} "
            f"({n_items:,} items in all): their lists are that long"
        )


def _about_sizes(run: PublishedRun, ingest: Row) -> Iterator[str]:
    config, n_users, n_items = run.manifest.config, ingest["n_users"], ingest["n_items"]
    sides: list[tuple[str, Side, int]] = [
        ("user_knn", "user", n_users),
        ("item_knn", "item", n_items),
    ]
    for name, side, n in sides:
        k = config["models"][name]["num_neighbors"]
        if k > n - 1:
            whose = f"{'a' if side == 'user' else 'an'} {side}"
            yield (
                f"models.{name}.num_neighbors = {k}, and {whose} has {n - 1:,} others at most: "
                f"all with a common {other(side)} are neighbors"
            )
    ranks = {name: config["models"].get(name, {}).get("rank", 0) for name in run.models}
    smaller = min(n_users, n_items)
    if above := [f"models.{name}.rank = {r}" for name, r in ranks.items() if r > smaller]:
        yield (
            f"above the smaller side of the ratings ({smaller:,}), where a smaller rank fits as "
            f"well: {', '.join(above)}"
        )
    if config["evaluation"]["split"] != "none" and config["evaluation"]["k"] >= n_items:
        yield (
            f"evaluation.k = {config['evaluation']['k']} reaches the whole catalogue "
            f"({n_items:,} items): recall and coverage say little"
        )
    cells = config["completed"]["max_cells"]
    if cells and not run.has("completed"):
        yield (
            f"table completed was left out: {n_users:,} x {n_items:,} cells are more than "
            f"completed.max_cells = {cells:,}"
        )


def _about_metrics(run: PublishedRun) -> Iterator[str]:
    rmse, ndcg = run.figures("rmse"), run.figures("ndcg")
    if worse := _not_better("baseline", rmse, lower=True):
        yield f"ratings are predicted no better than by the averages of baseline: {worse}"
    if worse := _not_better("popularity", ndcg, lower=False):
        yield f"lists rank no better than those of popularity (NDCG): {worse}"
    if ndcg and all(value is None for value in ndcg.values()):
        yield "no test rating is relevant (evaluation.relevant_rating): lists were not measured"
    if run.subset != "all":
        yield "published models were fitted on the training ratings only (evaluation.refit = false)"


def _not_better(reference: str, figures: dict[str, float | None], *, lower: bool) -> str:
    """Name the models, but the two references, whose figure does not beat the reference's."""
    sign, bar = (-1 if lower else 1), figures.get(reference)
    if bar is None:
        return ""
    others = {name: f for name, f in figures.items() if name not in ("baseline", "popularity")}
    return ", ".join(n for n, f in others.items() if f is not None and sign * f <= sign * bar)
