"""A list for a user who came after training: their factors are solved for, given the items'.

The same normal equations as a half step of the training, exactly solved, for one row. Needs no
Spark and changes nothing in the warehouse.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mfspark.config.models import ALSOptions, IALSOptions
from mfspark.errors import ConfigError, NotFoundError
from mfspark.kernels.arrays.tile import Array, Arrays, Tile
from mfspark.models.factorization import als, ials
from mfspark.models.records import cut_key
from mfspark.queries.lookup import Id, as_id, scale_of
from mfspark.tables.run import PublishedRun

FOLDING = ("ials", "als")
"""The models that can take in a user at once, the one that ranks first."""


@dataclass(frozen=True)
class FoldedIn:
    """The list of a new user."""

    model: str
    items: list[tuple[Id, str | None, float]]
    """Item id, title and score, the best first."""
    unknown: list[str]
    """Rated items that the model knows nothing of; they count for nothing."""


def fold_in(
    run: PublishedRun, ratings: Mapping[str, float], model: str | None = None, n: int = 10
) -> FoldedIn:
    """Return the n best items for somebody with these ratings by item id.

    Rated items are left out. Raises NotFoundError where the run has no model that can do it,
    ConfigError where no rated item is known.
    """
    name = _model_of(run, model)
    ids, titles, items = _items_of(run, name)
    column = {key: i for i, key in enumerate(ids)}
    known = {key: value for key, value in ratings.items() if as_id(run, "item", key) in column}
    if not known:
        raise ConfigError(
            f"model '{name}' knows none of the {len(ratings)} rated items",
            "name items by the ids of table items",
        )
    rated = np.array([column[as_id(run, "item", key)] for key in known])  # type: ignore[index]
    tile = Tile.from_triples(
        np.zeros(len(rated), int), rated, np.array(list(known.values())), 1, len(ids)
    )
    scores = _scores(run, name, tile, items)
    scores[rated] = -np.inf
    best = np.argsort(-scores, kind="stable")[: min(n, len(ids) - len(rated))]
    return FoldedIn(
        name,
        [(ids[i], titles[i], float(scores[i])) for i in best],
        sorted(ratings.keys() - known.keys()),
    )


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
    """Return ids, titles and factors of the items that a model was fitted on, by id."""
    rows = run.rows(
        "select item_id, title, bias, factors from {item_factors} f"
        " join {items} i using (item_id) where model = ? order by item_id",
        name,
    )
    rows = [row for row in rows if row["bias"] != 0 or any(row["factors"])]
    arrays = {
        "factors": np.array([row["factors"] for row in rows], np.float32),
        "bias": np.array([row["bias"] for row in rows], np.float32),
    }
    return [row["item_id"] for row in rows], [row["title"] for row in rows], arrays


def _scores(run: PublishedRun, name: str, tile: Tile, items: Arrays) -> Array:
    """Return the scores of all items for the one row of a tile, float64 (items)."""
    Y, options = items["factors"], run.manifest.config["models"][name]
    if name == "ials":
        chosen = IALSOptions.of_run(options | {"solver": "cholesky"})
        part, solver = ials.rating_block_of(chosen, tile, items), ials.solver_of(chosen, len(Y))
        x, _ = solver.solve([part], np.zeros((1, Y.shape[1]), np.float32), Y.T @ Y)
        return (Y @ x[0]).astype(np.float64)
    explicit = ALSOptions.of_run(options | {"solver": "cholesky"})
    cut = run.record(cut_key(run.subset))
    assert cut is not None
    tiles = cut.tiles
    nobody = {"factors": np.zeros((1, Y.shape[1]), np.float32), "bias": np.zeros(1, np.float32)}
    solver, ratings = als.solver_of(explicit), [(tile, items)]
    block, _ = als.solved(solver, nobody, ratings, tiles.mean, tiles.std, biases=explicit.biases)
    x, bias = block["factors"][0], float(block["bias"][0])
    scores = tiles.mean + bias + items["bias"].astype(np.float64) + Y @ x
    return scale_of(run).adjust(scores)
