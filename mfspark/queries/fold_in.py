"""A list for a user who came after training: their factors are solved for, given the items'.

The same normal equations as a half step of the training, exactly solved, for one row. Needs no
Spark and changes nothing in the warehouse.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.sparse import csr_array

from mfspark.config.config import EvaluationOptions, FeedbackOptions
from mfspark.config.models import ALSOptions, IALSOptions, PopularityOptions
from mfspark.errors import ConfigError, NotFoundError
from mfspark.evaluation.relevance import choices_from
from mfspark.grid.layout import TileSet
from mfspark.kernels.arrays.tile import Array, Arrays, Tile
from mfspark.kernels.item_weights.weights import choices_of, scores
from mfspark.models.factorization import als, ials
from mfspark.models.records import cut_key
from mfspark.queries.lookup import (
    Id,
    as_id,
    check_named,
    ingest_of,
    look_up_item,
    near_items,
    scale_of,
)
from mfspark.tables.run import PublishedRun

POPULARITY = "popularity"
_AGE = "date_diff('minute', coalesce(rated_at, oldest), newest)"
WEIGHTED = ("slim", "ease")
"""Models of weights between items."""
BY_CHOICES = (*WEIGHTED, "ials")
FOLDING = (*BY_CHOICES, "als")
"""The models that can take in a user at once, those that rank best first."""


@dataclass(frozen=True)
class FoldedIn:
    """The list of a new user."""

    model: str
    """Who made it: popularity where the ratings say nothing that the model goes by."""
    items: list[tuple[Id, str | None, float]]
    """Item id, title and score, the best first."""
    unknown: list[str]
    """Rated items that the model knows nothing of; they count for nothing."""
    notes: list[str]
    """What is odd about the ratings."""


def fold_in(
    run: PublishedRun,
    ratings: Mapping[str, float] | list[tuple[str, float]],
    model: str | None = None,
    n: int = 10,
) -> FoldedIn:
    """Return the n best items for somebody with these ratings by item id or exact title.

    Rated items are left out, and those that no list of the run may hold. Raises NotFoundError where
    the run has no model that can do it and for a title that several items have, ConfigError where
    no rated item is known or one is rated twice.
    """
    name = _model_of(run, model)
    ids, titles, items = _items_of(run, name)
    pairs = ratings if isinstance(ratings, list) else list(ratings.items())
    column = {key: i for i, key in enumerate(ids)}
    known, unknown = _found(run, column, pairs)
    if not known:
        raise ConfigError(
            f"model '{name}' knows none of the {len(unknown)} rated items",
            f"name items by the ids or titles of table items; {near_items(run, unknown[0])}",
        )
    notes = _off_the_scale(run, pairs)
    rated = np.array(list(known))
    tile = Tile.from_triples(
        np.zeros(len(rated), int), rated, np.array(list(known.values())), 1, len(ids)
    )
    found = _scores(run, name, tile, items, ids)
    if found is None:
        notes.append(
            f"{name} goes by what was chosen, and no rating here is a choice "
            f"({_Feedback.of(run).named}); "
            "this is the list of popularity, as the night's own for such a user"
        )
        name, found = POPULARITY, _times_chosen(run, ids, items)
    adjust = scale_of(run).adjust if name == "als" else np.asarray  # the others score no ratings
    found[rated] = -np.inf
    found[~_listable(run, ids)] = -np.inf
    best = np.argsort(-found, kind="stable")[: min(n, int((found > -np.inf).sum()))]
    shown = adjust(found[best])  # after ranking: what lies beyond the scale is not all alike
    listed = [(ids[i], titles[i], float(s)) for i, s in zip(best, shown, strict=True)]
    return FoldedIn(name, listed, sorted(unknown), notes)


def _found(
    run: PublishedRun, column: Mapping[Id, int], pairs: Iterable[tuple[str, float]]
) -> tuple[dict[int, float], list[str]]:
    """Return ratings by column, and the items that have none. Raises ConfigError for one twice."""
    found: dict[int, float] = {}
    named: dict[int, str] = {}
    unknown: list[str] = []
    for text, value in pairs:
        check_named("item", text)
        key = as_id(run, "item", text)
        if key not in column:  # a title, or spelled in another way
            row = look_up_item(run, text)
            key = row["id"] if row else None
        if key is None or key not in column:
            unknown.append(text)
            continue
        place = column[key]
        if place in found:
            twice = f"{named[place]}={found[place]:g} and {text}={value:g}"
            raise ConfigError(f"item {key} is rated twice: {twice}", "give each item one rating")
        found[place], named[place] = value, text
    return found, unknown


def _off_the_scale(run: PublishedRun, pairs: Iterable[tuple[str, float]]) -> list[str]:
    low, high = ingest_of(run).rating_scale
    off = ", ".join(f"{text}={value:g}" for text, value in pairs if not low <= value <= high)
    return [f"off the night's scale, {low:g} to {high:g}: {off}"] if off else []


@dataclass(frozen=True)
class _Feedback:
    """What a run took for a choice, and what it weighed choices in."""

    choices_from: float | None
    unit: float
    """As `TileSet.unit`."""
    named: str
    """The choices in words."""

    @classmethod
    def of(cls, run: PublishedRun) -> Self:
        config = run.manifest.config
        if "feedback" not in config:  # an older version, with an option of ials, in stars
            least = config["models"]["ials"].get("threshold")
            if least is None:
                return cls(float(np.finfo(np.float32).tiny), 1.0, "above 0")
            return cls(least, 1.0, f"{least:g} or above")
        feedback, evaluation = FeedbackOptions.of_run(config["feedback"]), config["evaluation"]
        scale = ingest_of(run).rating_scale
        least = choices_from(feedback, EvaluationOptions.of_run(evaluation), scale)
        named = "all are" if least is None else f"{least:g} or above"
        return cls(least, _tiles_of(run).unit, named)


def _times_chosen(run: PublishedRun, ids: Sequence[Id], items: Arrays) -> Array:
    """Return what popularity went by, float64 (items): choices, in older versions ratings."""
    if "feedback" not in run.manifest.config:
        return items["n_ratings"].astype(np.float64)
    least, half_life = _Feedback.of(run).choices_from, _half_life(run)
    weight = "1" if half_life is None else f"pow(0.5, {_AGE} / 1440 / {half_life})"
    rows = run.rows(
        f"""with span as (select min(rated_at) as oldest, max(rated_at) as newest from {{ratings}})
            select item_id, sum({weight}) as n from {{ratings}}, span where rating >= ?
            group by item_id""",
        -np.inf if least is None else least,
    )
    chosen = {row["item_id"]: row["n"] for row in rows}
    return np.array([chosen.get(key, 0) for key in ids], np.float64)


def _half_life(run: PublishedRun) -> float | None:
    """Return how many days make a rating count half to popularity; None: all count alike."""
    return PopularityOptions.of_run(run.manifest.config["models"]["popularity"]).half_life_days


def _tiles_of(run: PublishedRun) -> TileSet:
    cut = run.record(cut_key(run.subset))
    assert cut is not None
    return cut.tiles


def _listable(run: PublishedRun, ids: list[Id]) -> Array:
    """Return which items lists may hold (publish.allow_items, deny_items), bool (items)."""
    options = run.manifest.config["publish"]
    allowed, denied = (set(options.get(f"{name}_items", ())) for name in ("allow", "deny"))
    names = [str(key) for key in ids]
    return np.array([(not allowed or i in allowed) and i not in denied for i in names], bool)


def _model_of(run: PublishedRun, model: str | None) -> str:
    able = [name for name in FOLDING if name in run.models]
    if model in able or (model is None and able):
        return model or able[0]
    asked = f"model '{model}'" if model else "the run"
    raise NotFoundError(
        f"run {run.run_id}: {asked} cannot take in new users",
        f"models that can: {', '.join(able) or ' or '.join(FOLDING) + ', run one of them'}",
    )


def _items_of(run: PublishedRun, name: str) -> tuple[list[Id], list[str | None], Arrays]:
    """Return ids, titles and factors or no more of the items that a model knows, by id."""
    if name in WEIGHTED:
        rows = run.rows(
            "select item_id, title, n_ratings from {items} where item_id in ("
            " select item_id from {item_weights} where model = ? union"
            " select target_item_id from {item_weights} where model = ?) order by item_id",
            name,
            name,
        )
        n_ratings = np.array([row["n_ratings"] for row in rows], np.int64)
        ids, titles = [row["item_id"] for row in rows], [row["title"] for row in rows]
        return ids, titles, {"n_ratings": n_ratings}
    rows = run.rows(
        "select item_id, title, coalesce(n_ratings, 0) as n_ratings, bias, factors"
        " from {item_factors} f"
        " join {items} i using (item_id) where model = ? order by item_id",
        name,
    )
    rows = [row for row in rows if row["bias"] != 0 or any(row["factors"])]
    arrays = {
        "factors": np.array([row["factors"] for row in rows], np.float32),
        "bias": np.array([row["bias"] for row in rows], np.float32),
        "n_ratings": np.array([row["n_ratings"] for row in rows], np.int64),
    }
    return [row["item_id"] for row in rows], [row["title"] for row in rows], arrays


def _weights(run: PublishedRun, name: str, chosen: Tile, ids: Sequence[Id]) -> csr_array:
    """Return the weights of the chosen items for all, float64 (targets, items)."""
    marks, column = ", ".join("?" * chosen.n_ratings), {key: i for i, key in enumerate(ids)}
    rows = run.rows(
        "select item_id, target_item_id, weight from {item_weights}"
        f" where model = ? and item_id in ({marks})",
        name,
        *(ids[i] for i in chosen.indices),
    )
    targets, items = ([column[row[side]] for row in rows] for side in ("target_item_id", "item_id"))
    weights = np.array([row["weight"] for row in rows], np.float64)
    return csr_array((weights, (targets, items)), (len(ids), len(ids)))


def _scores(
    run: PublishedRun, name: str, tile: Tile, items: Arrays, ids: Sequence[Id]
) -> Array | None:
    """Return the scores of all items for the one row of a tile, float64 (items), as they come.

    None where the model goes by choices and the tile holds none.
    """
    if name not in BY_CHOICES:
        return _als_scores(run, tile, items)
    feedback = _Feedback.of(run)
    chosen = tile.at_least(feedback.choices_from)
    if not chosen.n_ratings:
        return None
    if name == "ials":
        return _ials_scores(run, feedback.unit, chosen, items)
    found = scores(choices_of(chosen), _weights(run, name, chosen, ids))[0]
    return np.where(found == 0, -np.inf, found)  # nothing speaks for it


def _ials_scores(run: PublishedRun, unit: float, chosen: Tile, items: Arrays) -> Array:
    options = run.manifest.config["models"]["ials"] | {"solver": "cholesky"}
    Y, exact = items["factors"], IALSOptions.of_run(options)
    block = ials.rating_block_of(exact, unit, chosen, items)
    solver = ials.solver_of(exact, len(Y))
    x, _ = solver.solve([block], np.zeros((1, Y.shape[1]), np.float32), Y.T @ Y)
    return (Y @ x[0]).astype(np.float64)


def _als_scores(run: PublishedRun, tile: Tile, items: Arrays) -> Array:
    options = run.manifest.config["models"]["als"] | {"solver": "cholesky"}
    Y, explicit, tiles = items["factors"], ALSOptions.of_run(options), _tiles_of(run)
    nobody = {"factors": np.zeros((1, Y.shape[1]), np.float32), "bias": np.zeros(1, np.float32)}
    solver, ratings = als.solver_of(explicit, explicit.penalty(tiles.n_ratings)), [(tile, items)]
    block, _ = als.solved(solver, nobody, ratings, tiles.mean, tiles.std, biases=explicit.biases)
    x, bias = block["factors"][0], float(block["bias"][0])
    return tiles.mean + bias + items["bias"].astype(np.float64) + Y @ x
