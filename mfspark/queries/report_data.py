"""Collects what the report of a night says, published or refused; needs no Spark."""

import json
import math
from datetime import UTC, datetime, timedelta

from mfspark.models.records import fit_key
from mfspark.queries.completed import completed_matrix
from mfspark.queries.list_search import searchable_lists
from mfspark.queries.list_worth import segments, trade_off
from mfspark.queries.lookup import Id, UserList, list_of, served_model
from mfspark.queries.night_history import history_of, n_rated
from mfspark.queries.night_verdict import MAX_AGE, verdict_on
from mfspark.queries.report.content import (
    Bar,
    Distribution,
    Heatmap,
    LossCurve,
    Rejected,
    Report,
)
from mfspark.queries.report.page import render
from mfspark.queries.summary import RunSummary, notes_of, summarise
from mfspark.schemas import Side
from mfspark.system.words import named
from mfspark.tables.run import PublishedRun
from mfspark.tables.sql import Row

_MOST_BARS = 21
_ALIKE = 24  # users, and items, whose similarities are shown
_LIST = 8  # rows of each example list
_EXAMPLES = 3  # rejected rows a reason
_RAW = 300  # characters of a rejected row


def page_of(run: PublishedRun, max_age: timedelta = MAX_AGE) -> str:
    """Return the report of a night as one HTML page that needs nothing else.

    A current run that is older than `max_age` is called stale.
    """
    return render(report_of(run, max_age))


def report_of(run: PublishedRun, max_age: timedelta = MAX_AGE) -> Report:
    """Collect everything on the page."""
    summary, manifest, now = summarise(run), run.manifest, datetime.now(UTC)
    return Report(
        summary=summary,
        verdict=verdict_on(run, max_age, now),
        run_date=manifest.run_date.isoformat(),
        published_at=f"{manifest.published_at:%Y-%m-%d %H:%M} UTC",
        made_at=f"{now:%Y-%m-%d %H:%M} UTC",
        version=manifest.versions.get("mfspark", ""),
        counts=_counts(run, summary),
        notes=list(notes_of(run)),
        history=history_of(run),
        trade=trade_off(run),
        segments=segments(run),
        losses=_losses(run),
        distributions=_distributions(run),
        heatmaps=[heat for side in ("user", "item") if (heat := _heatmap(run, side))],
        completed=completed_matrix(run) if run.has("completed") else None,
        list_model=served_model(run),
        lists=[_example(run, user) for user in _example_users(run)],
        scores=_score_words(run, summary),
        search=searchable_lists(run),
        rejected=_rejected(run, summary),
        config=json.dumps(manifest.config, indent=2),
    )


def _counts(run: PublishedRun, summary: RunSummary) -> dict[str, int]:
    """Return the headline numbers; known users and items who have no ratings do not count."""
    n_users, n_items = n_rated(run, "user"), n_rated(run, "item")
    ratings, rejected = summary.ingest.n_accepted, summary.ingest.n_rejected
    return {
        named(ratings, "rating"): ratings,
        f"{named(n_users, 'user')} who rated": n_users,
        f"{named(n_items, 'item')} rated": n_items,
        f"rejected {named(rejected, 'row')}": rejected,
    }


def _score_words(run: PublishedRun, summary: RunSummary) -> str:
    """Say what the scores of the served lists are."""
    fit = run.record(fit_key(run.subset, served_model(run)))
    record = fit.record if fit else {}
    if record.get("kind") != "rating" or record.get("options", {}).get("rank_by") == "similarity":
        return (
            "Scores say what stands before what, and no more: they have no unit, and those of two "
            "models or two users do not compare."
        )
    low, high = summary.ingest.rating_scale
    return f"Scores are the ratings that the model predicts, on the scale {low:g} to {high:g}."


def _losses(run: PublishedRun) -> list[LossCurve]:
    """Return the curves of the measured fits, or of the published ones where none was measured."""
    if not run.has("loss_history"):
        return []
    rows = run.rows(
        """select model, part, split, iteration, loss, seconds from {loss_history}
           order by split, iteration"""
    )
    subset = "train" if any(row["part"] == "train" for row in rows) else "all"
    curves: list[LossCurve] = []
    for model in run.models:
        own = [row for row in rows if row["model"] == model and row["part"] == subset]
        splits: dict[str, list[tuple[int, float]]] = {}
        for row in own:
            splits.setdefault(row["split"], []).append((row["iteration"], row["loss"]))
        if own:
            timed = {row["iteration"]: row["seconds"] for row in own}
            curves.append(LossCurve(model, splits, sum(timed.values())))
    return curves


def _distributions(run: PublishedRun) -> list[Distribution]:
    given = run.rows("select rating, count(*) as n from {ratings} group by rating order by rating")
    mean = sum(row["rating"] * row["n"] for row in given) / max(1, sum(row["n"] for row in given))
    return [
        Distribution("Ratings given", _bars(given), f"{mean:.2f} on average"),
        *(_degrees(run, side) for side in ("user", "item")),
    ]


def _bars(given: list[Row]) -> list[Bar]:
    """Return a bar a rating; where there are too many different ones, one a range of round ends.

    Ranges of whole numbers are named by what they hold (1-5, 6-10), others by their ends.
    """
    if len(given) <= _MOST_BARS:
        return [Bar(f"{row['rating']:g}", row["n"]) for row in given]
    low, high = given[0]["rating"], given[-1]["rating"]
    whole = all(row["rating"] == round(row["rating"]) for row in given)
    width = _round_width((high - low) / 20)
    shift = 1.0 if whole else 0.0  # 5 belongs to 1-5, and 0.5 to 0.5 to 1
    first = math.floor((low - shift) / width)
    # the highest rating has no range of its own where a range ends with it
    last = math.floor((high - shift) / width) if whole else math.ceil(high / width) - 1
    counts = [0] * (last - first + 1)
    for row in given:
        place = math.floor((row["rating"] - shift) / width + 1e-9)
        counts[min(place, last) - first] += row["n"]
    return [Bar(_range(width, first + i, whole=whole), n) for i, n in enumerate(counts)]


def _range(width: float, place: int, *, whole: bool) -> str:
    """Name a range of ratings."""
    start, end = place * width, (place + 1) * width
    if not whole:
        return f"{start:g} to {end:g}"
    return f"{end:g}" if width == 1 else f"{start + 1:g}-{end:g}"


def _round_width(least: float) -> float:
    """Return the smallest of 1, 2 or 5 times a power of 10 that is not below a width."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= least * (1 - 1e-9))


def _degrees(run: PublishedRun, side: Side) -> Distribution:
    """Return how many users or items have how many ratings, in ranges that double."""
    rows = run.rows(
        f"""select coalesce(n_ratings, 0) as n, count(*) as rows from {{{side}s}}
            group by 1 order by 1"""
    )
    most = max((row["n"] for row in rows), default=0)
    ranges = [(2**k, 2 ** (k + 1) - 1) for k in range(most.bit_length())]
    if any(row["n"] == 0 for row in rows):
        ranges.insert(0, (0, 0))
    counted = [(a, b, sum(r["rows"] for r in rows if a <= r["n"] <= b)) for a, b in ranges]
    first = next((i for i, (_, _, n) in enumerate(counted) if n), 0)
    bars = [Bar(f"{a}" if a == b else f"{a}-{b}", n) for a, b, n in counted[first:]]
    return Distribution(f"{side.capitalize()}s by their number of ratings", bars)


def _heatmap(run: PublishedRun, side: Side) -> Heatmap | None:
    """Return similarities among those with the most ratings; None where there are none.

    Of users all with all where `user_heatmap` was written, otherwise of those who are neighbors.
    """
    table, first, second = f"{side}_neighbors", f"{side}_id", f"neighbor_{side}_id"
    if side == "user" and run.has("user_heatmap"):
        table, first, second = "user_heatmap", "user_id", "other_user_id"
    if not run.has(table):
        return None
    name = "title" if side == "item" else "null"
    rows = run.rows(
        f"""select {side}_id as id, coalesce({name}, cast({side}_id as varchar)) as name
            from {{{side}s}} order by coalesce(n_ratings, 0) desc, {side}_id limit ?""",
        _ALIKE,
    )
    place = {row["id"]: i for i, row in enumerate(rows)}
    among = ", ".join("?" * len(place))
    pairs = run.rows(
        f"""select {first} as one, {second} as other, similarity from {{{table}}}
            where one in ({among}) and other in ({among}) and one <> other""",
        *place,
        *place,
    )
    if not pairs:
        return None
    values: list[list[float | None]] = [[None] * len(rows) for _ in rows]
    for pair in pairs:
        values[place[pair["one"]]][place[pair["other"]]] = pair["similarity"]
    return Heatmap(f"{side.capitalize()}s", [row["name"] for row in rows], values)


def _example_users(run: PublishedRun) -> list[Id]:
    """Return a user with few ratings, one with as many as most, and one with a great many."""
    rows = run.rows(
        """select user_id, n_ratings, row_number() over (order by n_ratings, user_id) as place,
                  count(*) over () as n
           from {users} where n_ratings > 0
           qualify place in (1 + n // 20, (1 + n) // 2, n - n // 20) order by place"""
    )
    return [row["user_id"] for row in rows]


def _example(run: PublishedRun, user: Id) -> UserList:
    found = list_of(run, str(user), None, _LIST)
    rows = [*found.favourites, *found.rows]
    among = ", ".join("?" * len(rows)) or "null"
    query = f"select item_id, genres from {{items}} where item_id in ({among})"
    items = run.rows(query, *(row["item_id"] for row in rows))
    genres = {item["item_id"]: item["genres"] for item in items}
    for row in rows:
        row["genres"] = genres.get(row["item_id"])
    return found


def _rejected(run: PublishedRun, summary: RunSummary) -> list[Rejected]:
    reasons = sorted(summary.ingest.rejected_by_reason.items(), key=lambda reason: -reason[1])
    examples: dict[str, list[tuple[str, int | None, str]]] = {}
    if reasons:
        rows = run.rows(
            """select reason, source_file, line, raw from {rejected_ratings}
               qualify row_number() over (partition by reason order by source_file, line) <= ?
               order by reason, source_file, line""",
            _EXAMPLES,
        )
        for row in rows:
            raw = (row["raw"] or "")[:_RAW]
            examples.setdefault(row["reason"], []).append((row["source_file"], row["line"], raw))
    return [Rejected(reason, n, examples.get(reason, [])) for reason, n in reasons]
