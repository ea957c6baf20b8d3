"""Questions to one published run, answered with DuckDB over its Parquet files; needs no Spark.

A run is opened once: the pointer is read then, and nights published meanwhile change no answer.
"""

import re
import unicodedata
from dataclasses import dataclass

from mfspark.errors import NotFoundError
from mfspark.evaluation.catalog import NDCG, REFERENCES
from mfspark.models.records import SERVING, fit_key
from mfspark.schemas import Side
from mfspark.tables.run import PublishedRun
from mfspark.tables.sql import Row

Id = int | str

_INTEGER = re.compile(r"-?[0-9]{1,99}")
_INT64 = range(-(2**63), 2**63)


def as_id(run: PublishedRun, side: Side, text: str) -> Id | None:
    """Return an id in the type of the run's tables; None where the text cannot be one of them."""
    text = text.strip()
    if run.manifest.ids.of(side) == "string":
        return text or None
    if not _INTEGER.fullmatch(text):
        return None
    number = int(text)
    return number if number in _INT64 else None


def find_user(run: PublishedRun, text: str) -> Row:
    """Return a user's row of table `users`. Raises NotFoundError that names near matches."""
    check_named("user", text)
    found = look_up(run, "user", text)
    if found is None:
        raise NotFoundError(f"run {run.run_id} has no user '{text}'", near_matches(run, text))
    return found


def check_named(side: Side, text: str) -> None:
    """Raise NotFoundError for an empty id: a variable of the shell that is not set, say."""
    if not text.strip():
        raise NotFoundError(f"no {side} is named: the id is empty", f"say which {side} is meant")


def look_up(run: PublishedRun, side: Side, text: str) -> Row | None:
    """Return the row of a user or an item by its id; None where there is none."""
    key = as_id(run, side, text)
    if key is None:
        return None
    columns = f"{side}_id as id, coalesce(n_ratings, 0) as n_ratings, mean" + (
        ", title" if side == "item" else ""
    )
    spelled: list[Id] = [key]
    if isinstance(key, str):  # ids are stored as NFC, and by older versions as they came
        spelled.append(unicodedata.normalize("NFC", key))
    query = f"select {columns} from {{{side}s}} where {side}_id = ?"
    found = (row for one in spelled for row in run.rows(query, one))
    return next(found, None)


def look_up_item(run: PublishedRun, text: str) -> Row | None:
    """Return an item's row by its id or else its exact title; None where there is none.

    Raises NotFoundError with the ids where several items have the title.
    """
    found = look_up(run, "item", text)
    if found is not None:
        return found
    rows = run.rows(
        """select item_id as id, coalesce(n_ratings, 0) as n_ratings, mean, title from {items}
           where nfc_normalize(title) = nfc_normalize(?) order by id""",
        text.strip(),
    )
    if len(rows) > 1:
        ids = ", ".join(str(row["id"]) for row in rows[:10])
        raise NotFoundError(f"{len(rows)} items have the title '{text}'", f"name one by id: {ids}")
    return rows[0] if rows else None


def near_matches(run: PublishedRun, text: str) -> str:
    """Say which user ids are spelled most like a text (one pass over `users`)."""
    near = run.rows(
        """select cast(user_id as varchar) as id from {users}
           order by levenshtein(lower(cast(user_id as varchar)), lower(?)), user_id limit 3""",
        text.strip(),
    )
    return f"near: {', '.join(str(row['id']) for row in near)}"


def near_items(run: PublishedRun, text: str) -> str:
    """Say which items are named most like a text (one pass over `items`)."""
    near = run.rows(
        """select cast(item_id as varchar) as id, title, coalesce(title, id) as name from {items}
           order by not contains(lower(name), lower($1)), levenshtein(lower(name), lower($1)), id
           limit 3""",
        text.strip(),
    )
    names = [f"{row['title']} [{row['id']}]" if row["title"] else str(row["id"]) for row in near]
    return f"near: {', '.join(names)}"


@dataclass(frozen=True)
class ListSource:
    """The table that a user's list is read from, and whose list it is."""

    model: str
    table: str
    n: int
    """Rows a user that were published."""
    option: str
    """The option that says how many."""

    @property
    def served(self) -> bool:
        """Whether it is the list that people get."""
        return self.table == "serving"


@dataclass(frozen=True)
class UserList:
    """What one user gets, and what they like best themselves."""

    user: Row
    """id, n_ratings, mean."""
    source: ListSource
    rows: list[Row]
    """rank, item_id, title, score, tier, reason: items the user rated, or neighbors."""
    favourites: list[Row]
    """item_id, title, rating, rated_at: the best-rated ones, the latest first."""


def list_of(run: PublishedRun, user_text: str, model: str | None, n: int) -> UserList:
    """Return a user's list, and `n` of their own best ratings.

    Without a model it is the list that is served; see `served_model`.
    Raises NotFoundError for an unknown user or model.
    """
    source = _source(run, model)
    user = find_user(run, user_text)
    rows = run.rows(
        f"""select * from {{{source.table}}} where user_id = ? and model = ? and rank <= ?
            order by rank""",
        user["id"],
        source.model,
        n,
    )
    name_reasons(run, source.model, rows)
    favourites = run.rows(
        """select r.item_id, i.title, r.rating from {ratings} r left join {items} i using (item_id)
           where r.user_id = ? order by r.rating desc, r.rated_at desc nulls last, r.item_id
           limit ?""",
        user["id"],
        n,
    )
    return UserList(user, source, rows, favourites)


def _source(run: PublishedRun, model: str | None) -> ListSource:
    """Return where the list that was asked for stands."""
    config = run.manifest.config
    n, chosen = config["publish"]["n"], model or served_model(run)
    if model is None and run.has("serving"):
        own = config["serving"]["n"]
        return ListSource(chosen, "serving", own or n, "serving.n" if own else "publish.n")
    if chosen not in run.models:
        raise NotFoundError(
            f"run {run.run_id} has no list of model '{chosen}'", f"models: {', '.join(run.models)}"
        )
    return ListSource(chosen, "top_n", n, "publish.n")


def name_reasons(run: PublishedRun, model: str, rows: list[Row]) -> None:
    """Put titles in the place of ids where reasons are items; older runs have no reasons."""
    fit = run.record(fit_key(run.subset, model))
    titles: dict[str, str] = {}
    ids = sorted({one for row in rows for one in row.get("reason") or []})
    of_items = fit is not None and fit.record.get("neighbors", {"side": "item"})["side"] == "item"
    if ids and of_items:
        marks = ", ".join("?" * len(ids))
        query = "select cast(item_id as varchar) as id, title from {items} where title is not null"
        found = run.rows(f"{query} and cast(item_id as varchar) in ({marks})", *ids)
        titles = {row["id"]: row["title"] for row in found}
    for row in rows:
        row["reason"] = [titles.get(one, one) for one in row.get("reason") or []]


def served_model(run: PublishedRun) -> str:
    """Return whose lists are served: the champion.

    Runs of versions without table `serving` have none. There it is the highest NDCG, but no
    reference's while anything else was run. Where nothing was measured, or all are equal, it is
    ials, which is fitted to rank, and otherwise the first model.
    """
    if champion := run.record(SERVING):
        return champion.model
    own = [name for name in run.models if name not in REFERENCES] or list(run.models)
    own.sort(key=lambda name: name != "ials")
    ndcg = run.figures(NDCG.name)
    return NDCG.best({name: ndcg.get(name) or 0.0 for name in own})


@dataclass(frozen=True)
class Neighborhood:
    """A user's nearest neighbors and everybody's ratings of the items most of them rated."""

    user: Row
    neighbors: list[Row]
    """rank, id, similarity, n_common; nearest first."""
    items: list[Row]
    """item_id, title, n_raters and `ratings`, a rating by user id."""


def neighborhood(run: PublishedRun, user_text: str, n: int, n_items: int) -> Neighborhood:
    """Return the n nearest neighbors of a user, with ratings of the n_items commonest items.

    Commonest: rated by most of these users, those rated by the user first where equal.
    Raises NotFoundError for an unknown user, and where the night found no neighbors.
    """
    user = find_user(run, user_text)
    if not run.has("user_neighbors"):
        raise NotFoundError(
            f"run {run.run_id} found no neighbors of users: no model of that night compares them",
            'run user_knn too (models.run), or set similarity.tables = "all"',
        )
    neighbors = run.rows(
        """select rank, neighbor_user_id as id, similarity, n_common from {user_neighbors}
           where user_id = ? and rank <= ? order by rank""",
        user["id"],
        n,
    )
    users = [user["id"], *(row["id"] for row in neighbors)]
    among = ", ".join("?" * len(users))
    items = run.rows(
        f"""select r.item_id, any_value(i.title) as title, count(*) as n_raters,
                   list(r.user_id) as raters, list(r.rating) as given
            from {{ratings}} r left join {{items}} i using (item_id)
            where r.user_id in ({among}) group by r.item_id
            order by n_raters desc, list_contains(raters, ?) desc, r.item_id limit ?""",
        *users,
        user["id"],
        n_items,
    )
    for item in items:
        item["ratings"] = dict(zip(item.pop("raters"), item.pop("given"), strict=True))
    return Neighborhood(user, neighbors, items)
