"""The served lists of many users, small enough to be searched within one page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mfspark.queries.lookup import Id, name_reasons, served_model
from mfspark.tables.run import PublishedRun
from mfspark.tables.sql import Row

MOST_USERS = 1_000
_ENTRIES = 10  # of each list
_FAVOURITES = 3
_REASONS = 3  # of each entry


@dataclass(frozen=True)
class SearchableLists:
    """The lists of the first users by id, as JSON types that name each text once."""

    texts: list[str]
    """Titles, genres, reasons and tiers; everything else counts into it."""
    items: list[tuple[int, int]]
    """Title and genres of each item, as places in `texts`."""
    users: dict[str, tuple[int, list[tuple[int, float]], list[tuple[int, float, int, list[int]]]]]
    """By id: number of ratings, favourites (item, rating), entries (item, score, tier, reasons).

    A tier is 0 where the entry is the champion's own."""

    def payload(self) -> dict[str, Any]:
        """Return what the page's script reads."""
        return {"texts": self.texts, "items": self.items, "users": self.users}


class _Places:
    """Numbers things by when they are first asked for."""

    def __init__(self, *first: Any) -> None:
        self.of: dict[Any, int] = {one: i for i, one in enumerate(first)}

    def __call__(self, one: Any) -> int:
        return self.of.setdefault(one, len(self.of))


def searchable_lists(run: PublishedRun) -> SearchableLists | None:
    """Collect the lists of the first users; None where the run has no table `serving`."""
    if not run.has("serving"):
        return None
    users = run.rows(
        """select user_id, coalesce(n_ratings, 0) as n_ratings from {users}
           order by user_id limit ?""",
        MOST_USERS,
    )
    if not users:
        return None
    first, last = users[0]["user_id"], users[-1]["user_id"]
    entries = run.rows(
        """select user_id, item_id, score, tier, reason from {serving}
           where user_id between ? and ? and rank <= ? order by user_id, rank""",
        *(first, last, _ENTRIES),
    )
    favourites = run.rows(
        """select user_id, item_id, rating from {ratings} where user_id between ? and ?
           qualify row_number() over (partition by user_id
               order by rating desc, rated_at desc nulls last, item_id) <= ?
           order by user_id, rating desc, rated_at desc nulls last, item_id""",
        *(first, last, _FAVOURITES),
    )
    model = served_model(run)
    name_reasons(run, model, entries)
    return _packed(users, entries, favourites, _described(run, [*entries, *favourites]), model)


def _described(run: PublishedRun, rows: Iterable[Row]) -> dict[Id, tuple[str, str]]:
    """Return title and genres of the items in some rows."""
    wanted = {row["item_id"] for row in rows}
    found = run.rows("select item_id, title, genres from {items}")
    return {
        row["item_id"]: (row["title"] or str(row["item_id"]), ", ".join(row["genres"] or ()))
        for row in found
        if row["item_id"] in wanted
    }


def _packed(
    users: list[Row],
    entries: list[Row],
    favourites: list[Row],
    described: dict[Id, tuple[str, str]],
    model: str,
) -> SearchableLists:
    text, item = _Places(""), _Places()
    packed: dict[Id, tuple[int, list[Any], list[Any]]] = {
        user["user_id"]: (user["n_ratings"], [], []) for user in users
    }
    for row in favourites:
        packed[row["user_id"]][1].append((item(row["item_id"]), row["rating"]))
    for row in entries:
        tier = "" if row["tier"] == model else row["tier"]
        reasons = [text(reason) for reason in row["reason"][:_REASONS]]
        score = round(row["score"], 4)
        packed[row["user_id"]][2].append((item(row["item_id"]), score, text(tier), reasons))
    items = [(text(title), text(genres)) for title, genres in (described[i] for i in item.of)]
    return SearchableLists(list(text.of), items, {str(user): own for user, own in packed.items()})
