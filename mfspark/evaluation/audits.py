"""Audits: does a night's every table keep its contract? SQL over Parquet, one pass a table.

`Query` runs SQL in which `{table}` stands for a table of the night; the caller brings one, so this
module knows no files. An audit counts what breaks it and names the first one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol


class Query(Protocol):
    """Runs a query with parameters `$name` and returns its rows."""

    def __call__(self, sql: str, /, **parameters: Any) -> list[dict[str, Any]]:
        """Run it."""
        ...


@dataclass(frozen=True)
class AuditFinding:
    """What one audit found: how many break the contract, and the first of them."""

    audit: str
    n_broken: int
    example: str = ""


@dataclass(frozen=True)
class ListContract:
    """What the lists of a table must be."""

    n: int
    """Rows a user and model, while so many items may be listed."""
    models: tuple[str, ...]
    """Whose lists every user has; of `serving` one model."""
    rating_models: tuple[str, ...]
    """Models whose lists have ratings as scores; those of the others have no scale."""
    scale: tuple[float, float] | None
    """Ends of the scale that rating scores are kept in; None where they are not."""
    rounded: bool
    """Whether rating scores were rounded: then ties say nothing of their order."""
    allow: tuple[str, ...]
    deny: tuple[str, ...]
    seen: str
    """SQL of what a user must not be shown again: (user_id, item_id), each pair once."""
    table: str = "top_n"
    ranked: bool = True
    """Whether they are in the order of their scores; not where they were made more varied."""


_ROW_BREAKS = {
    "ranks are dense from 1": "rank is distinct from place",
    "no item was rated before": "seen",
    "items are known": "item_idx is null",
    "items may be listed": "item_idx is not null and not eligible",
    "scores are finite": "score is null or not isfinite(score)",
    "scores lie in the scale": "rated and not score between $low - 1e-9 and $high + 1e-9",
    "scores never rise": "$ranked and score > score_before",
    "ties go to the lower item_idx": """$ranked and comparable and score = score_before
        and item_idx < idx_before and tier = model and tier_before = model""",
    "tiers are known": "tier is null or tier not in (model, 'baseline', 'popularity')",
    "intervals are whole": """(score_low is null) <> (score_high is null) or score_low > score_high
        or not isfinite(score_low) or not isfinite(score_high)""",
}
_LIST_BREAKS = {
    "no item comes twice": "n_items < n",
    "lists have N rows, or all there are": "coalesce(n, 0) <> wanted",
    "users and models are known": "wanted is null",
}
LIST_AUDITS = (*_ROW_BREAKS, *_LIST_BREAKS)


def audit_lists(query: Query, contract: ListContract) -> Iterator[AuditFinding]:
    """Check the contract of a table of lists: one pass, which sorts each list by rank.

    In `serving` a list of another model, or a second one, is one that nobody asked for. Scores at
    the ends of the scale may have been clamped, and rows that a fallback made follow their own
    order, so that neither is looked at for ties.
    """
    low, high = contract.scale or (float("-inf"), float("inf"))
    breaks = ", ".join(f"bool_or({sql}) as row{i}" for i, sql in enumerate(_ROW_BREAKS.values()))
    conditions = [f"coalesce(row{i}, false)" for i in range(len(_ROW_BREAKS))]
    conditions += [f"coalesce({sql}, false)" for sql in _LIST_BREAKS.values()]
    no_intervals = "null::double as score_low, null::double as score_high"
    rows = {"top_n": "{top_n}", "serving": f"(select *, {no_intervals} from {{serving}})"}
    found = query(
        f"""
        with listed as (
            select item_id, item_idx,
                (len($allow) = 0 or cast(item_id as varchar) in (select unnest($allow::varchar[])))
                and cast(item_id as varchar) not in (select unnest($deny::varchar[])) as eligible
            from {{items}}),
        gone as ({contract.seen}),
        had as (select user_id, count(*) as n from gone join listed using (item_id)
                where eligible group by user_id),
        people as (
            select u.user_id, least($n, (select count(*) from listed where eligible)
                                        - coalesce(had.n, 0)) as wanted
            from {{users}} u left join had using (user_id)),
        asked as (
            select model, people.* from people cross join unnest($models::varchar[]) m(model)),
        ordered as (
            select t.*, item_idx, eligible, gone.item_id is not null as seen,
                list_contains($rating_models::varchar[], t.model) as rated,
                row_number() over list as place, lag(score) over list as score_before,
                lag(item_idx) over list as idx_before, lag(tier) over list as tier_before
            from {rows[contract.table]} t
            left join listed using (item_id) left join gone using (user_id, item_id)
            window list as (partition by t.model, t.user_id order by t.rank, t.item_id)),
        checked as (
            select *, not rated or (not $rounded and score > $low and score < $high) as comparable
            from ordered),
        lists as (
            select model, user_id, count(*) as n, list_unique(list(item_id)) as n_items, {breaks}
            from checked group by model, user_id)
        select {_counts(conditions, "model || ' for ' || user_id")}
        from asked full join lists using (model, user_id)
        """,
        n=contract.n,
        models=list(contract.models),
        rating_models=list(contract.rating_models),
        low=low,
        high=high,
        rounded=contract.rounded,
        ranked=contract.ranked,
        allow=list(contract.allow),
        deny=list(contract.deny),
    )[0]
    return _findings((f"{contract.table}: {name}" for name in LIST_AUDITS), found)


def audit_served(query: Query) -> Iterator[AuditFinding]:
    """Compare `serving` with what `top_n` has of the same lists, as far as both go."""
    counts = _counts(["true"], _ENTRY)
    found = query(
        f"""
        select {counts} from {{serving}} s join (
            select model, user_id, max(rank) as n from {{top_n}} group by all)
            using (model, user_id)
        anti join {{top_n}} using (model, user_id, rank, item_id, tier, score)
        where rank <= n
        """
    )[0]
    return _findings([SERVED_AUDIT], found)


SERVED_AUDIT = "serving: entries are those of top_n"
_ENTRY = "user_id || ', rank ' || rank"


@dataclass(frozen=True)
class TableAudit:
    """A condition that no row of a table, or of a query over tables, may fulfil."""

    table: str
    contract: str
    breaks: str
    example: str
    source: str = ""
    """A query whose rows are looked at; empty: the table."""


def _ids(table: str, column: str, side: str) -> TableAudit:
    rows = f"(select distinct {column} as key from {{{table}}})"
    unknown = f"from {rows} anti join {{{side}s}} on key = {side}_id"
    return TableAudit(table, f"{column} is known", "true", "key", f"(select key {unknown})")


def _neighbors(side: str) -> list[TableAudit]:
    table, key, neighbor = f"{side}_neighbors", f"{side}_id", f"neighbor_{side}_id"
    placed = f"""(select *, row_number() over (partition by {key} order by rank) as place
                  from {{{table}}})"""
    return [
        TableAudit(table, "nobody neighbors themselves", f"{key} = {neighbor}", key),
        TableAudit(table, "similarities are finite", _infinite("similarity"), key),
        TableAudit(table, "ranks are dense from 1", "rank <> place", key, placed),
        _ids(table, key, side),
        _ids(table, neighbor, side),
    ]


def _factors(side: str) -> list[TableAudit]:
    table, key = f"{side}_factors", f"{side}_id"
    total = "coalesce(list_sum(factors), 0)"  # not finite where any of them is not
    repeated = f"(select model, {key} from {{{table}}} group by all having count(*) > 1)"
    infinite = f"{_infinite('bias')} or not isfinite({total}) or list_count(factors) < len(factors)"
    return [
        TableAudit(table, "factors are finite", infinite, f"model || ' ' || {key}"),
        TableAudit(table, "a row has one id", "true", f"model || ' ' || {key}", repeated),
        _ids(table, key, side),
    ]


def _numbered(side: str) -> list[TableAudit]:
    table, key = f"{side}s", f"{side}_id"
    placed = (
        f"""(select *, row_number() over (order by {side}_idx) - 1 as place from {{{table}}})"""
    )
    repeated = f"(select {key} from {{{table}}} group by all having count(*) > 1 or {key} is null)"
    return [
        TableAudit(table, "indices are dense", f"{side}_idx is distinct from place", key, placed),
        TableAudit(table, "ids are unique", "true", f"coalesce({key}::varchar, 'null')", repeated),
    ]


def _infinite(column: str) -> str:
    return f"({column} is null or not isfinite({column}))"


_PAIR = "user_id || ', ' || item_id"
TABLE_AUDITS = (
    TableAudit("ratings", "ratings are finite", _infinite("rating"), _PAIR),
    TableAudit("ratings", "ratings lie in the scale", "not rating between $low and $high", _PAIR),
    TableAudit("ratings", "a pair is rated once", "true", _PAIR,
               "(select user_id, item_id from {ratings} group by all having count(*) > 1)"),
    _ids("ratings", "user_id", "user"),
    _ids("ratings", "item_id", "item"),
    *_numbered("user"),
    *_numbered("item"),
    *_neighbors("user"),
    *_neighbors("item"),
    *_factors("user"),
    *_factors("item"),
    TableAudit("similar_items", "no item is like itself", "item_id = similar_item_id", "item_id"),
    TableAudit("similar_items", "scores are finite", _infinite("score"), "item_id"),
    _ids("similar_items", "item_id", "item"),
    _ids("similar_items", "similar_item_id", "item"),
    TableAudit("item_weights", "no item speaks for itself", "item_id = target_item_id", "item_id"),
    TableAudit("item_weights", "weights are finite", _infinite("weight"), "item_id"),
    _ids("item_weights", "item_id", "item"),
    _ids("item_weights", "target_item_id", "item"),
    TableAudit("completed", "predictions are finite", _infinite("prediction"), _PAIR),
    TableAudit("test_predictions", "predictions are finite", _infinite("prediction"),
               "model || ' for ' || user_id || ', ' || item_id"),
    TableAudit("metrics", "values are finite", "not isfinite(value)", "model || ' ' || metric"),
)  # fmt: skip


def audit_tables(
    query: Query, tables: Iterable[str], rating_scale: tuple[float, float]
) -> Iterator[AuditFinding]:
    """Check what must hold of every row of the tables that the night has."""
    present = set(tables)
    low, high = rating_scale
    for audit in TABLE_AUDITS:
        if audit.table in present:
            parameters = {"low": low, "high": high} if "$low" in audit.breaks else {}
            source = audit.source or f"{{{audit.table}}}"
            counts = _counts([audit.breaks], audit.example)
            found = query(f"select {counts} from {source}", **parameters)[0]
            yield from _findings([f"{audit.table}: {audit.contract}"], found)


def audit_counts(actual: dict[str, int], expected: dict[str, int]) -> Iterator[AuditFinding]:
    """Compare the rows of tables with what was counted while they were made."""
    for table, rows in expected.items():
        found = actual.get(table, 0)
        example = "" if found == rows else f"{found:,} rows, {rows:,} were counted"
        yield AuditFinding(f"{table}: no row is lost", abs(found - rows), example)


def _counts(conditions: list[str], example: str) -> str:
    return ", ".join(
        f"count(*) filter ({sql}) as n{i}, min({example}) filter ({sql}) as example{i}"
        for i, sql in enumerate(conditions)
    )


def _findings(names: Iterable[str], counted: dict[str, Any]) -> Iterator[AuditFinding]:
    for i, name in enumerate(names):
        example = counted[f"example{i}"]
        yield AuditFinding(name, counted[f"n{i}"], "" if example is None else str(example))
