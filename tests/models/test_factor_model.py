from __future__ import annotations

import numpy as np
import pytest

from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks, GridLayout
from mfspark.models import factor_model as factors
from mfspark.models.factor_model import FactorModel, StartDistribution, StartRows, start_state
from tests.support.grids import Array, Ratings, grid_of, stars, whole
from tests.support.reference import best_of_row

RATINGS = stars(4, 37, 29, 0.3).widened(2, 3)
RANK = 9


def arrays(seed: int, n: int, unrated: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    rated = np.arange(n) < n - unrated
    return {
        "factors": (rng.normal(size=(n, RANK)) * rated[:, None]).astype(np.float32),
        "bias": (rng.normal(size=n) * rated).astype(np.float32),
        "n": rated.astype(np.int64),
    }


USERS, ITEMS = arrays(1, RATINGS.n_users, 2), arrays(2, RATINGS.n_items, 3)


@pytest.mark.parametrize("blocks", [1, 4])
@pytest.mark.parametrize(
    ("distribution", "mean", "low", "std"),
    [("normal", 0.0, -9.0, 0.5), ("half_normal", 0.399, 0.0, 0.301), ("uniform", 0.866, 0.0, 0.5)],
)
def test_starting_factors_are_drawn_as_asked(
    distribution: StartDistribution, mean: float, low: float, std: float, blocks: int
) -> None:
    """A normal number without its sign has mean sqrt(2 / pi) and deviation sqrt(1 - 2 / pi)."""
    grid = grid_of(stars(1, 400, 50, 0.2), blocks, blocks)
    state = start_state(grid, "start", StartRows(20, 0.5, seed=3, distribution=distribution))
    found = whole(grid, state.user, "factors")
    assert found.mean() == pytest.approx(mean, abs=0.02)
    assert found.std() == pytest.approx(std, abs=0.02)
    assert found.min() >= low
    if distribution == "uniform":
        assert found.max() < 0.5 * 12**0.5


def model_on(ratings: Ratings, P: int, Q: int) -> tuple[FactorModel, Grid]:
    """The same factors in any number of blocks."""
    grid = grid_of(ratings, P, Q)
    layout: GridLayout = grid.layout
    for side, whole_side in (("user", USERS), ("item", ITEMS)):
        for b in range(layout.blocks(side)):  # type: ignore[arg-type]
            rows = layout.indices(side, b)  # type: ignore[arg-type]
            grid.store.put(f"{side}/{b}", {name: a[rows] for name, a in whole_side.items()})
    users, items = (
        Blocks(side, tuple(f"{side}/{b}" for b in range(n)))  # type: ignore[arg-type]
        for side, n in (("user", P), ("item", Q))
    )
    return FactorModel(3.0, users, items), grid


@pytest.fixture(params=[64 << 20, 400])
def item_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All item blocks are ranked at once, or a few at a time."""
    monkeypatch.setattr(factors, "_ITEM_BYTES", request.param)


@pytest.mark.usefixtures("item_bytes")
@pytest.mark.parametrize("blocks", [(1, 1), (2, 3), (7, 5), (50, 40)])
@pytest.mark.parametrize("some", [False, True])
def test_lists_have_the_same_bits_in_any_number_of_blocks(
    blocks: tuple[int, int], *, some: bool
) -> None:
    model, grid = model_on(RATINGS, *blocks)
    eligible = np.arange(RATINGS.n_items) % 3 > 0 if some else np.ones(RATINGS.n_items, bool)
    lists = model.recommend(grid, 6, "lists", eligible if some else None)
    indices, scores = whole(grid, lists, "indices"), whole(grid, lists, "scores")
    bias = 3.0 + USERS["bias"].astype(np.float64)[:, None] + ITEMS["bias"]
    dot = USERS["factors"].astype(np.float64) @ ITEMS["factors"].T.astype(np.float64)
    expected = (bias + dot).astype(np.float32)
    open_to = np.isnan(RATINGS.dense) & eligible & (ITEMS["n"] > 0) & (USERS["n"] > 0)[:, None]
    for u in range(RATINGS.n_users):
        best = best_of_row(np.where(open_to[u], expected[u], -np.inf), 6)
        assert indices[u, : len(best)].tolist() == best
        assert scores[u, : len(best)].tolist() == expected[u, best].tolist()
        assert (indices[u, len(best) :] == -1).all()


@pytest.mark.usefixtures("item_bytes")
@pytest.mark.parametrize("blocks", [1, 3, 40])
@pytest.mark.parametrize("n", [4, 50])
def test_similar_items_by_cosine(blocks: int, n: int) -> None:
    model, grid = model_on(RATINGS, 2, blocks)
    lists = model.similar_items(grid, n, "similar")
    indices, scores = whole(grid, lists, "indices"), whole(grid, lists, "scores")
    Y = ITEMS["factors"].astype(np.float64)
    with np.errstate(invalid="ignore"):
        Y /= np.linalg.norm(Y, axis=1, keepdims=True)
    cosine = Y @ Y.T
    cosine[np.isnan(cosine)] = -np.inf
    np.fill_diagonal(cosine, -np.inf)
    for i in range(RATINGS.n_items):
        best = best_of_row(cosine[i], n)
        assert indices[i, : len(best)].tolist() == best
        np.testing.assert_allclose(scores[i, : len(best)], cosine[i, best], atol=2e-7)
        assert (indices[i, len(best) :] == -1).all()


def test_similar_items_that_tie() -> None:
    """Parallel factors all have cosine 1: they come by index, the item itself is left out."""
    model, grid = model_on(RATINGS, 1, 2)
    sizes = 2.0 ** np.arange(RATINGS.n_items)
    for q in range(2):
        block = dict(grid.store.get(f"item/{q}"))
        block["factors"] = np.outer(sizes[q::2], np.ones(RANK)).astype(np.float32)
        grid.store.put(f"item/{q}", block)
    lists = whole(grid, model.similar_items(grid, 3, "similar"), "indices")
    assert lists[0].tolist() == [1, 2, 3]
    assert lists[2].tolist() == [0, 1, 3]
    assert lists[-1].tolist() == [-1, -1, -1]
