"""What a published night amounts to: its metrics, tables, rejected rows, and what is worth knowing.

Only reads what was published, so the summary of an old run is the same as on its night.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mfspark.evaluation import catalog
from mfspark.evaluation.catalog import DIVERSITY, NDCG, NOVELTY, REFERENCES, RMSE, Metric
from mfspark.evaluation.champion import Champion
from mfspark.ingest.account import notes_on
from mfspark.ingest.report import IngestReport
from mfspark.models.published_facts import ingest_of, is_implicit
from mfspark.models.records import LISTABLE_ITEMS, SERVING, TRADE, ListableItems
from mfspark.schemas import Side, other
from mfspark.system.words import count
from mfspark.tables.run import PublishedRun

_FEW = 5  # ids that a note names


@dataclass(frozen=True)
class Figure:
    """One figure of a model with its 95% interval, where it has one."""

    value: float
    low: float | None = None
    high: float | None = None
    best: bool = False
    """Whether no other model has a better value."""


@dataclass(frozen=True)
class MetricFigures:
    """The figures of one metric."""

    metric: Metric
    title: str
    """As readers know it: RMSE, NDCG@10."""
    figures: dict[str, Figure]
    """By model; models that do not have it are missing."""


@dataclass(frozen=True)
class RunSummary:
    """Everything the closing summary says."""

    run_id: str
    place: str
    """The directory or URL of its tables."""
    split: str
    models: list[str]
    """Those that have any of the figures: the configured ones in their order, then the others."""
    metrics: list[MetricFigures]
    """Of all metrics that are shown."""
    table_rows: dict[str, int]
    ingest: IngestReport
    champion: Champion | None
    """Whose lists are served; None in runs of versions without table `serving`."""
    example_user: str | None
    """A user of the run, for `mfspark show`."""
    notes: list[str]
    verdicts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """What gates and audits say, as the manifest keeps it."""
    figures: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """The rows of table `metrics`."""


def summarise(run: PublishedRun) -> RunSummary:
    """Collect what the closing summary of a published run says."""
    manifest = run.manifest
    evaluation = manifest.config["evaluation"]
    shown = [metric for metric in catalog.METRICS if metric.shown]
    names = {metric.name for metric in shown}
    measured = [m for m in manifest.metrics if m["metric"] in names and m["value"] is not None]
    found = list(dict.fromkeys(row["model"] for row in measured))
    models = [name for name in run.models if name in found]
    models += [name for name in found if name not in models]
    users = run.rows("select cast(user_id as varchar) as id from {users} order by user_id limit 1")
    return RunSummary(
        run.run_id,
        run.place,
        evaluation["split"],
        models,
        [_figures(metric, evaluation["k"], measured, models) for metric in shown],
        {name: table.rows for name, table in manifest.tables.items()},
        ingest_of(run),
        run.record(SERVING),
        str(users[0]["id"]) if users else None,
        [*notes_of(run), *_failed_gates(run)],
        manifest.verdicts,
        manifest.metrics,
    )


def _figures(
    metric: Metric, k: int, measured: list[dict[str, Any]], models: list[str]
) -> MetricFigures:
    """Return the figures of one metric, by model in the given order."""
    rows = {row["model"]: row for row in measured if row["metric"] == metric.name}
    values = {model: row["value"] for model, row in rows.items()}
    # where all are equal, none is best
    best = values[metric.best(values)] if len(set(values.values())) > 1 else None
    figures = {
        model: Figure(row["value"], row["low"], row["high"], row["value"] == best)
        for model in models
        if (row := rows.get(model))
    }
    return MetricFigures(metric, metric.title.format(k=k), figures)


def notes_of(run: PublishedRun) -> Iterator[str]:
    """Say what was asked for and cannot be had, and what a reader might not expect."""
    ingest = ingest_of(run)
    if is_implicit(run):
        yield (
            "the files hold choices without ratings: models that predict ratings (als, "
            "bayesian_mf, torch_mf, neighbors that rank by ratings) are left out, and every test "
            "item is relevant"
        )
    yield from notes_on(ingest)
    yield from _about_lists(run, ingest)
    yield from _about_filled_lists(run)
    yield from _about_variety(run)
    yield from _about_sizes(run, ingest)
    yield from _about_metrics(run)


def _failed_gates(run: PublishedRun) -> Iterator[str]:
    for verdict in run.manifest.verdicts:
        if verdict["outcome"] == "failed":
            yield f"gate {verdict['gate']} fails for {verdict['subject']}: {verdict['why']}"


def _about_lists(run: PublishedRun, ingest: IngestReport) -> Iterator[str]:
    if limited := run.record(LISTABLE_ITEMS):
        yield from _about_limits(run, limited, ingest.n_items)
    else:
        yield from _about_lengths(run, ingest.n_items)


def _about_limits(run: PublishedRun, limited: ListableItems, n_items: int) -> Iterator[str]:
    """Say what publish.allow_items and deny_items left, and which of their ids are of no item."""
    for name, ids in limited.unknown_ids.items():
        if ids:
            few = ", ".join(ids[:_FEW]) + (", ..." if len(ids) > _FEW else "")
            yield f"publish.{name}: passed over {count(len(ids), 'id')} that no item has: {few}"
    (option, n), n_eligible = _longest_asked(run), limited.n_eligible
    short = f"; {option} = {n} asked, so that every list is shorter" if n_eligible < n else ""
    yield (
        f"lists may hold {n_eligible:,} of {count(n_items, 'item')} "
        f"(publish.allow_items, publish.deny_items){short}"
    )


def _longest_asked(run: PublishedRun) -> tuple[str, int]:
    """Return how long the longest lists were to be, and the option that says so."""
    config = run.manifest.config  # older runs have no section `serving`
    asked = {"publish.n": config["publish"]["n"], "serving.n": config.get("serving", {}).get("n")}
    return max(asked.items(), key=lambda one: one[1] or 0)


def _about_lengths(run: PublishedRun, n_items: int) -> Iterator[str]:
    option, n = _longest_asked(run)
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
            f"{option} = {n} asked, only {unseen} unseen items exist for {users} "
            f"({n_items:,} items in all): their lists are that long"
        )


def _about_filled_lists(run: PublishedRun) -> Iterator[str]:
    """Name the models that had nothing to rank by, and for how many users."""
    rows = run.rows(
        """select model, count(*) as users from {top_n}
           where rank = 1 and tier = 'popularity' and model <> 'popularity'
           group by model order by model"""
    )
    models = run.manifest.config["models"]
    for row in rows:
        name, remedy = row["model"], ""
        if name == "svd" and models["svd"].get("unrated") == "zero":
            remedy = "; where all ratings are reproduced, a smaller models.svd.rank tells more"
        users = count(row["users"], "user")
        yield f"{name} tells nothing of what {users} did not rate: popular items are listed{remedy}"


def _about_sizes(run: PublishedRun, ingest: IngestReport) -> Iterator[str]:
    config, n_users, n_items = run.manifest.config, ingest.n_users, ingest.n_items
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
    fitted = [name for name in run.models if name != "svd"]  # at full rank it reproduces ratings
    ranks = {name: config["models"].get(name, {}).get("rank", 0) for name in fitted}
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


def _about_variety(run: PublishedRun) -> Iterator[str]:
    """Say what more varied lists cost and give, and whose lists could not keep the limit."""
    config = run.manifest.config
    if most := config["publish"].get("max_per_genre"):
        over = run.rows(
            """with held as (
                   select user_id, unnest(list_distinct(genres)) as genre
                   from {serving} join {items} using (item_id))
               select count(distinct user_id) as users from (
                   select user_id from held group by user_id, genre having count(*) > ?)""",
            most,
        )[0]["users"]
        if over:
            yield (
                f"publish.max_per_genre = {most}: lists of {count(over, 'user')} hold more of a "
                f"genre, as none of their {config['publish']['variety_from']} candidates was left "
                "(publish.variety_from)"
            )
    trade, k = run.record(TRADE), config["evaluation"]["k"]
    if trade is None:
        return
    said = [
        f"{metric.title.format(k=k)} {trade.plain[metric.name]:.4f} -> "
        f"{trade.varied[metric.name]:.4f}"
        for metric in (NDCG, DIVERSITY, NOVELTY)
        if metric.name in trade.plain and metric.name in trade.varied
    ]
    yield f"the lists of {trade.model} are served more varied: {', '.join(said)}"


def _about_metrics(run: PublishedRun) -> Iterator[str]:
    rmse, ndcg = run.figures(RMSE.name), run.figures(NDCG.name)
    if worse := _not_better(RMSE, rmse):
        yield f"ratings are predicted no better than by the averages of baseline: {worse}"
    if worse := _not_better(NDCG, ndcg):
        yield f"lists rank no better than those of popularity (NDCG): {worse}"
    if ndcg and all(value is None for value in ndcg.values()):
        yield "no test rating is relevant (evaluation.relevant_rating): lists were not measured"
    if run.subset != "all":
        yield "published models were fitted on the training ratings only (evaluation.refit = false)"


def _not_better(metric: Metric, figures: dict[str, float | None]) -> str:
    """Name the models, but the references, whose figure does not beat the reference's."""
    bar = figures.get(metric.reference)
    if bar is None:
        return ""
    others = {name: f for name, f in figures.items() if name not in REFERENCES}
    return ", ".join(n for n, f in others.items() if f is not None and not metric.beats(f, bar))
