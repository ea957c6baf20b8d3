"""Every audit finds what breaks its contract, and nothing in tables that keep it.

rating    a   b   c   d   e   f       lists of 3; user 3 has but two items left
user 1    5   3   .   .   .   .
user 2    4   .   2   .   .   .
user 3    .   1   5   4   2   .
user 4    3   .   .   .   .   .       (nobody rated f)
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from mfspark.evaluation.audits import (
    LIST_AUDITS,
    SERVED_AUDIT,
    TABLE_AUDITS,
    AuditFinding,
    ListContract,
    audit_counts,
    audit_lists,
    audit_served,
    audit_tables,
)
from mfspark.schemas import IdTypes, table_schema

Rows = list[dict[str, Any]]
Tables = dict[str, Rows]

IDS = IdTypes("integer", "string")
USERS, ITEMS = [1, 2, 3, 4], list("abcdef")
RATINGS = {(1, "a"): 5.0, (1, "b"): 3.0, (2, "a"): 4.0, (2, "c"): 2.0, (3, "b"): 1.0,
           (3, "c"): 5.0, (3, "d"): 4.0, (3, "e"): 2.0, (4, "a"): 3.0}  # fmt: skip
SCORES = {"als": (4.5, 4.0, 4.0), "ials": (9.0, 8.0, 8.0)}
CONTRACT = ListContract(
    n=3,
    models=("als", "ials"),
    rating_models=("als",),
    scale=(1.0, 5.0),
    rounded=False,
    allow=(),
    deny=(),
    seen="select user_id, item_id from {ratings}",
)
SERVED = replace(CONTRACT, table="serving", models=("ials",), n=2)


def kept(listed: str = "abcdef") -> Tables:
    """Tables that keep every contract; lists hold only some of the items."""
    lists = [
        {"model": model, "user_id": user, "rank": rank, "item_id": item, "tier": model,
         "score": scores[rank - 1], "score_low": 1.0, "score_high": 5.0}
        for model, scores in SCORES.items()
        for user in USERS
        for rank, item in enumerate([i for i in listed if (user, i) not in RATINGS][:3], 1)
    ]  # fmt: skip
    ratings = [{"user_id": u, "item_id": i, "rating": r} for (u, i), r in RATINGS.items()]

    def ids(side: str, keys: list[Any]) -> Rows:
        return [{f"{side}_id": key, f"{side}_idx": n} for n, key in enumerate(keys)]

    def neighbors(side: str, keys: list[Any]) -> Rows:
        pairs = [(keys[0], keys[1]), (keys[0], keys[2])]
        return [
            {f"{side}_id": a, f"neighbor_{side}_id": b, "rank": n, "similarity": 1 / n}
            for n, (a, b) in enumerate(pairs, 1)
        ]

    def factors(side: str, keys: list[Any]) -> Rows:
        return [
            {"model": model, f"{side}_id": key, "bias": 0.5, "factors": f}
            for model, f in (("als", [1.0, 2.0]), ("baseline", []))
            for key in keys
        ]

    return {
        "top_n": lists,
        "serving": [copy.copy(row) for row in lists if row["model"] == "ials" and row["rank"] <= 2],
        "ratings": ratings,
        "users": ids("user", USERS),
        "items": ids("item", ITEMS),
        "user_neighbors": neighbors("user", USERS),
        "item_neighbors": neighbors("item", ITEMS),
        "user_factors": factors("user", USERS),
        "item_factors": factors("item", ITEMS),
        "similar_items": [{"item_id": "a", "similar_item_id": "b", "score": 0.5}],
        "item_weights": [{"item_id": "a", "target_item_id": "b", "weight": 0.5}],
        "completed": [{"user_id": 1, "item_id": "a", "prediction": 4.0}],
        "test_predictions": [
            {"model": "als", "user_id": 1, "item_id": "a", "prediction": 4.0},
            {"model": "baseline", "user_id": 1, "item_id": "a", "prediction": 4.0},
        ],
        "metrics": [{"model": "als", "metric": "rmse", "value": 1.0}],
    }


def query(tables: Tables) -> Callable[..., Rows]:
    connection = duckdb.connect()
    for name, rows in tables.items():
        schema = table_schema(name, IDS)
        filled = [{field: row.get(field) for field in schema.names} for row in rows]
        connection.register(name, pa.Table.from_pylist(filled, schema))

    def run(sql: str, /, **parameters: Any) -> Rows:
        cursor = connection.execute(re.sub(r"\{(\w+)\}", r"\1", sql), parameters)
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    return run


def broken(tables: Tables, contract: ListContract = CONTRACT) -> dict[str, AuditFinding]:
    run = query(tables)
    findings = [*audit_lists(run, contract), *audit_tables(run, tables, (1.0, 5.0))]
    served = replace(contract, **{name: getattr(SERVED, name) for name in ("table", "models", "n")})
    findings += [*audit_lists(run, served), *audit_served(run)]
    names = [finding.audit for finding in findings]
    assert len(set(names)) == len(names) == 2 * len(LIST_AUDITS) + 1 + len(TABLE_AUDITS)
    return {finding.audit: finding for finding in findings if finding.n_broken}


def change(table: str, row: int, **values: Any) -> Callable[[Tables], None]:
    def mutate(tables: Tables) -> None:
        tables[table][row].update(values)

    return mutate


def drop(table: str, row: int) -> Callable[[Tables], None]:
    return lambda tables: tables[table].__delitem__(row)


def repeat(table: str, row: int) -> Callable[[Tables], None]:
    return lambda tables: tables[table].append(copy.deepcopy(tables[table][row]))


def second_list(tables: Tables) -> None:
    """A list of another model beside the one that is served."""
    tables["serving"] += [copy.copy(row) for row in tables["top_n"] if row["model"] == "als"]


NAN, INF = math.nan, math.inf
PLANTED: list[tuple[str, Callable[[Tables], None]]] = [
    ("top_n: ranks are dense from 1", change("top_n", 2, rank=4)),
    ("top_n: ranks are dense from 1", change("top_n", 0, rank=0)),
    ("top_n: ranks are dense from 1", change("top_n", 1, rank=1)),
    ("top_n: no item was rated before", change("top_n", 0, item_id="a")),
    ("top_n: items are known", change("top_n", 0, item_id="z")),
    ("top_n: items are known", change("top_n", 0, item_id=None)),
    ("top_n: scores are finite", change("top_n", 0, score=NAN)),
    ("top_n: scores are finite", change("top_n", 0, score=INF)),
    ("top_n: scores are finite", change("top_n", 2, score=None)),
    ("top_n: scores lie in the scale", change("top_n", 0, score=5.1)),
    ("top_n: scores lie in the scale", change("top_n", 2, score=0.9)),
    ("top_n: scores never rise", change("top_n", 1, score=4.75)),
    ("top_n: tiers are known", change("top_n", 1, tier="nobody")),
    ("top_n: tiers are known", change("top_n", 1, tier=None)),
    ("top_n: intervals are whole", change("top_n", 1, score_low=None)),
    ("top_n: intervals are whole", change("top_n", 1, score_low=4.0, score_high=3.0)),
    ("top_n: intervals are whole", change("top_n", 1, score_high=NAN)),
    ("top_n: no item comes twice", change("top_n", 1, item_id="c")),
    ("top_n: lists have N rows, or all there are", drop("top_n", 2)),
    ("top_n: lists have N rows, or all there are", repeat("top_n", 2)),
    ("top_n: users and models are known", change("top_n", 0, user_id=9)),
    ("top_n: users and models are known", change("top_n", 0, model="ghost", tier="ghost")),
    ("serving: ranks are dense from 1", change("serving", 1, rank=3)),
    ("serving: ranks are dense from 1", change("serving", 1, rank=1)),
    ("serving: no item was rated before", change("serving", 0, item_id="a")),
    ("serving: items are known", change("serving", 0, item_id="z")),
    ("serving: scores are finite", change("serving", 0, score=NAN)),
    ("serving: scores never rise", change("serving", 1, score=9.5)),
    ("serving: tiers are known", change("serving", 1, tier="als")),
    ("serving: no item comes twice", change("serving", 1, item_id="c")),
    ("serving: lists have N rows, or all there are", drop("serving", 1)),
    ("serving: lists have N rows, or all there are", repeat("serving", 1)),
    ("serving: users and models are known", change("serving", 0, user_id=9)),
    ("serving: users and models are known", change("serving", 0, model="als", tier="als")),
    ("serving: users and models are known", second_list),
    ("serving: entries are those of top_n", change("serving", 1, item_id="f")),
    ("serving: entries are those of top_n", change("serving", 1, score=8.5)),
    ("serving: entries are those of top_n", change("serving", 1, tier="popularity")),
    ("ratings: ratings are finite", change("ratings", 0, rating=NAN)),
    ("ratings: ratings lie in the scale", change("ratings", 0, rating=5.5)),
    ("ratings: a pair is rated once", repeat("ratings", 0)),
    ("ratings: user_id is known", drop("users", 3)),
    ("ratings: item_id is known", drop("items", 0)),
    ("users: indices are dense", change("users", 0, user_idx=7)),
    ("users: indices are dense", change("users", 0, user_idx=1)),
    ("users: indices are dense", change("users", 3, user_idx=None)),
    ("users: ids are unique", change("users", 0, user_id=2)),
    ("users: ids are unique", change("users", 0, user_id=None)),
    ("items: indices are dense", change("items", 5, item_idx=6)),
    ("items: ids are unique", change("items", 0, item_id="b")),
    *(
        planted
        for side, key in (("user", 1), ("item", "a"))
        for planted in (
            (f"{side}_neighbors: nobody neighbors themselves",
             change(f"{side}_neighbors", 0, **{f"neighbor_{side}_id": key})),
            (f"{side}_neighbors: similarities are finite",
             change(f"{side}_neighbors", 0, similarity=NAN)),
            (f"{side}_neighbors: ranks are dense from 1", change(f"{side}_neighbors", 1, rank=3)),
            (f"{side}_neighbors: {side}_id is known",
             change(f"{side}_neighbors", 0, **{f"{side}_id": 99})),
            (f"{side}_neighbors: neighbor_{side}_id is known",
             change(f"{side}_neighbors", 0, **{f"neighbor_{side}_id": 99})),
            (f"{side}_factors: factors are finite",
             change(f"{side}_factors", 0, factors=[1.0, NAN])),
            (f"{side}_factors: factors are finite",
             change(f"{side}_factors", 0, factors=[INF, -INF])),
            (f"{side}_factors: factors are finite",
             change(f"{side}_factors", 0, factors=[1.0, None])),
            (f"{side}_factors: factors are finite", change(f"{side}_factors", 0, bias=INF)),
            (f"{side}_factors: a row has one id", repeat(f"{side}_factors", 0)),
            (f"{side}_factors: {side}_id is known",
             change(f"{side}_factors", 0, **{f"{side}_id": 99})),
        )
    ),
    ("similar_items: no item is like itself", change("similar_items", 0, similar_item_id="a")),
    ("similar_items: scores are finite", change("similar_items", 0, score=None)),
    ("similar_items: item_id is known", change("similar_items", 0, item_id="z")),
    ("similar_items: similar_item_id is known", change("similar_items", 0, similar_item_id="z")),
    ("item_weights: no item speaks for itself", change("item_weights", 0, target_item_id="a")),
    ("item_weights: weights are finite", change("item_weights", 0, weight=None)),
    ("item_weights: item_id is known", change("item_weights", 0, item_id="z")),
    ("item_weights: target_item_id is known", change("item_weights", 0, target_item_id="z")),
    ("completed: predictions are finite", change("completed", 0, prediction=None)),
    ("test_predictions: predictions are finite", change("test_predictions", 0, prediction=NAN)),
    ("metrics: values are finite", change("metrics", 0, value=INF)),
]  # fmt: skip


def as_text(tables: Tables) -> Tables:
    """Item ids are text, whatever the mutation says."""
    for rows in (tables["item_neighbors"], tables["item_factors"]):
        for row in rows:
            row.update({k: str(v) for k, v in row.items() if k.endswith("item_id")})
    return tables


def test_tables_that_keep_their_contracts_are_not_accused() -> None:
    assert broken(kept()) == {}


@pytest.mark.parametrize(("audit", "mutate"), PLANTED)
def test_each_planted_fault_is_found(audit: str, mutate: Callable[[Tables], None]) -> None:
    tables = kept()
    mutate(tables)
    found = broken(as_text(tables))
    assert audit in found, f"found instead: {sorted(found)}"
    assert found[audit].example != "" or "id" in audit


def swap_ties(tables: Tables) -> None:
    """Two items of one score in the wrong order: user 1's items d and e of als."""
    first, second = tables["top_n"][1:3]
    first["item_id"], second["item_id"] = second["item_id"], first["item_id"]


def test_ties_are_looked_at_where_scores_are_what_was_ranked_by() -> None:
    tables, name = kept(), "top_n: ties go to the lower item_idx"
    swap_ties(tables)
    assert broken(tables)[name] == AuditFinding(name, 1, "als for 1")
    assert broken(tables, replace(CONTRACT, rounded=True)) == {}
    filled = copy.deepcopy(tables)
    filled["top_n"][2]["tier"] = "popularity"  # fallbacks have an order of their own
    assert broken(filled) == {}
    for row in tables["top_n"][:3]:
        row["score"] = 5.0  # clamped
    assert broken(tables) == {}
    tables = kept()
    tables["top_n"].reverse()  # the order of rows is not the order of lists
    assert broken(tables) == {}


def test_scores_of_rankings_have_no_scale() -> None:
    tables = kept()
    ials = [row for row in tables["top_n"] if row["model"] == "ials"]
    ials[0]["score"] = tables["serving"][0]["score"] = 1000.0
    assert broken(tables) == {}
    tables["top_n"][0]["score"] = 7.0
    assert broken(tables, replace(CONTRACT, scale=None)) == {}


def test_lists_hold_eligible_items_only() -> None:
    names = ("items may be listed", "lists have N rows, or all there are")
    found = {f"{table}: {name}" for table in ("top_n", "serving") for name in names}
    assert set(broken(kept(), replace(CONTRACT, deny=("f",)))) == found
    assert set(broken(kept(), replace(CONTRACT, allow=("c", "d", "e")))) == found
    assert broken(kept("ef"), replace(CONTRACT, allow=("e", "f", "nosuch"))) == {}
    assert broken(kept("bdef"), replace(CONTRACT, deny=("a", "c"))) == {}


def test_lists_of_models_fitted_on_a_part_may_hold_what_was_tested() -> None:
    tables = kept()
    tables["top_n"][0]["item_id"] = "a"  # user 1 rated it, in the test part
    assert "top_n: no item was rated before" in broken(tables)
    train = """select user_id, item_id from {ratings} anti join
        (from {test_predictions} where model = 'baseline') using (user_id, item_id)"""
    found = broken(tables, replace(CONTRACT, seen=train))
    assert "top_n: no item was rated before" not in found


def test_a_served_list_may_be_longer_or_shorter_than_those_of_top_n() -> None:
    tables, name = kept(), "serving: lists have N rows, or all there are"
    run = query(tables)
    assert [f.audit for f in audit_lists(run, replace(SERVED, n=3)) if f.n_broken] == [name]
    for user in USERS[:2] + USERS[3:]:
        fourth = [i for i in "cdef" if (user, i) not in RATINGS][-1]
        row = {"model": "ials", "user_id": user, "rank": 4, "item_id": fourth, "score": 1.0}
        tables["serving"] = [r for r in tables["top_n"] if r["model"] == "ials"] + [row]
    assert [f.n_broken for f in audit_served(query(tables))] == [0]


def test_a_user_without_any_list_is_missed() -> None:
    tables, name = kept(), "top_n: lists have N rows, or all there are"
    tables["top_n"] = [row for row in tables["top_n"] if row["user_id"] != 2]
    assert broken(tables) == {name: AuditFinding(name, 2, "als for 2")}


_PLANTED_IN_TOP_N = {
    "ties go to the lower item_idx",
    "items may be listed",
    "scores lie in the scale",
    "intervals are whole",
}
"""What `ials`, which is served here, has none of, and what other tests plant in both tables."""


def test_every_audit_has_a_planted_fault() -> None:
    covered = {audit for audit, _ in PLANTED}
    covered |= {"top_n: ties go to the lower item_idx", "top_n: items may be listed"}
    covered |= {f"serving: {name}" for name in _PLANTED_IN_TOP_N}
    lists = {f"{table}: {name}" for name in LIST_AUDITS for table in ("top_n", "serving")}
    tables = {f"{audit.table}: {audit.contract}" for audit in TABLE_AUDITS}
    assert covered == lists | tables | {SERVED_AUDIT}


def test_rows_are_counted_against_what_came_in() -> None:
    found = list(audit_counts({"ratings": 9, "items": 6}, {"ratings": 10, "items": 6, "users": 4}))
    assert [(f.audit, f.n_broken) for f in found] == [
        ("ratings: no row is lost", 1),
        ("items: no row is lost", 0),
        ("users: no row is lost", 4),
    ]
    assert found[0].example == "9 rows, 10 were counted"
