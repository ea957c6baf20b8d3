from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mfspark.kernels.arrays.tile import Arrays, Tile
from mfspark.kernels.factorization.sgd import Epoch, RowPenalty
from tests.support.grids import Array, Ratings, stars, survey
from tests.support.reference import descend, mf_gradients, textbook_step

OPTIMIZERS = ["sgd", "adagrad", "adam"]


def epoch(
    *, reg: float = 0.1, prior_count: float = 0.0, damping: float | None = None, **options: Any
) -> Epoch:
    """Steps that, where n is not known, regularise biases as factors, as textbooks do."""
    defaults: dict[str, Any] = {
        "optimizer": "sgd",
        "learning_rate": 0.05,
        "penalty": RowPenalty(reg, prior_count, reg if damping is None else damping),
        "batch_size": 4,
        "biases": True,
        "mean": 3.0,
        "seed": 1,
    }
    return Epoch(**defaults | options)


def block(seed: int, n_rows: int, rank: int, std: float = 0.5) -> Arrays:
    rng = np.random.default_rng(seed)
    return {
        "factors": (std * rng.normal(size=(n_rows, rank))).astype(np.float32),
        "bias": (std * rng.normal(size=n_rows)).astype(np.float32),
    }


def counted(
    steps: Epoch, users: Arrays, items: Arrays, tile: Tile, validation: Array | None = None
) -> tuple[Arrays, Arrays, dict[str, float]]:
    held_out = np.zeros(tile.n_ratings, bool) if validation is None else validation
    return steps.run(users, items, tile, held_out)


def run(
    steps: Epoch, users: Arrays, items: Arrays, tile: Tile, validation: Array | None = None
) -> tuple[Arrays, Arrays]:
    return counted(steps, users, items, tile, validation)[:2]


def weights(users: Arrays, items: Arrays) -> tuple[Array, Array, Array, Array]:
    return users["factors"], items["factors"], users["bias"], items["bias"]


def equal(one: tuple[Arrays, Arrays], other: tuple[Arrays, Arrays]) -> bool:
    pairs = zip(weights(*one), weights(*other), strict=True)
    return all(a.tobytes() == b.tobytes() for a, b in pairs)


# User 0 and item 2 have two ratings each; user 1, user 4 and item 3 have none.
TINY = Ratings(np.array([0, 0, 2, 3]), np.array([1, 2, 2, 0]), np.array([5.0, 1.0, 4.0, 2.5]), 5, 4)
USER_COUNTS, ITEM_COUNTS = np.array([2, 0, 1, 1, 0]), np.array([1, 1, 2, 0])


@pytest.mark.parametrize("batch_size", [0, 4, 100], ids=["full", "equal", "larger"])
@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
@pytest.mark.parametrize("steps", [1, 5])
def test_steps_are_those_of_the_textbook(optimizer: str, batch_size: int, steps: int) -> None:
    """One batch with duplicates a step. Each epoch gets its state from arrays alone."""
    users, items = block(1, 5, 3), block(2, 4, 3)
    expected = descend(TINY.dense, weights(users, items), steps, optimizer, 0.05, 3.0, 0.1)
    for seed in range(steps):
        one = epoch(optimizer=optimizer, batch_size=batch_size, seed=seed)
        users, items = run(one, users, items, TINY.tile)
    for found, wanted in zip(weights(users, items), expected, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("objective", ["squares", "norm"])
@pytest.mark.parametrize("zeros", [False, True], ids=["masked", "zeros"])
def test_objectives_of_textbooks_take_plain_steps(objective: Any, *, zeros: bool) -> None:
    """Whatever n and prior_count say: rows without ratings are regularised too."""
    users, items = (block(s, n, 3) | {"n": np.full(n, 9)} for s, n in ((1, 5), (2, 4)))
    R, tile = TINY.dense, TINY.tile
    if zeros:
        R, tile = np.nan_to_num(R), tile.with_zeros()
    X, Y = users["factors"], items["factors"]
    steps = epoch(
        objective=objective,
        batch_size=0,
        biases=False,
        mean=0.0,
        prior_count=5.0,
        learning_rate=0.03,
    )
    for _ in range(4):
        X, Y = textbook_step(R, X, Y, 0.03, 0.1, objective)
        users, items = run(steps, users, items, tile)
    np.testing.assert_allclose(users["factors"], X, atol=1e-5)
    np.testing.assert_allclose(items["factors"], Y, atol=1e-5)


def test_a_perfect_fit_has_a_gradient_of_0_in_the_norm_too() -> None:
    users, items = (
        {"factors": np.ones((n, 1), np.float32), "bias": np.zeros(n, np.float32)} for n in (2, 3)
    )
    tile = Ratings.of_dense(np.ones((2, 3))).tile
    steps = epoch(objective="norm", batch_size=0, biases=False, mean=0.0, reg=0.0)
    after = run(steps, users, items, tile)
    assert (after[0]["factors"] == 1).all()


@pytest.mark.parametrize("rate", [1e-4, 0.05, 10.0])
def test_plain_steps_are_damped_by_the_ratings_of_a_row(rate: float) -> None:
    """Gradient descent with a learning rate of its own for each row; tiny rates are as they are."""
    users, items = block(1, 5, 3), block(2, 4, 3)
    before = weights(users, items)
    gradients = mf_gradients(TINY.dense, before, 3.0, 0.1)
    counts = USER_COUNTS[:, None], ITEM_COUNTS[:, None], USER_COUNTS, ITEM_COUNTS
    after = weights(*run(epoch(learning_rate=rate), users, items, TINY.tile))
    for old, gradient, count, new in zip(before, gradients, counts, after, strict=True):
        np.testing.assert_allclose(new, old - rate / (1 + 2 * rate * count) * gradient, atol=1e-5)
        assert (new[count.reshape(-1) == 0] == old[count.reshape(-1) == 0]).all()


def test_the_penalty_counts_the_prior_and_draws_items_to_their_means() -> None:
    """A rating has reg (n + prior_count)/n, a bias damping/n: n of the whole row, not the tile."""
    users, items = block(1, 5, 3), block(2, 4, 3)
    users["n"], items["n"] = USER_COUNTS + 3, ITEM_COUNTS + 5
    means = np.random.default_rng(3).normal(size=(4, 4)).astype(np.float32)
    X, Y, b, c = weights(users, items)
    free = mf_gradients(TINY.dense, (X, Y, b, c), 3.0, 0.0)
    of_users = 2 * 0.1 * USER_COUNTS * (users["n"] + 7) / users["n"]
    of_items = 2 * 0.1 * ITEM_COUNTS * (items["n"] + 7) / items["n"]
    gradients = (
        free[0] + of_users[:, None] * X,
        free[1] + of_items[:, None] * (Y - means[:, :3]),
        free[2] + 2 * 3 * USER_COUNTS / users["n"] * b,
        free[3] + 2 * 3 * ITEM_COUNTS / items["n"] * (c - means[:, 3]),
    )
    steps = epoch(learning_rate=1e-3, prior_count=7.0, damping=3.0)
    after = weights(*run(steps, users, items | {"prior_mean": means}, TINY.tile))
    counts = USER_COUNTS[:, None], ITEM_COUNTS[:, None], USER_COUNTS, ITEM_COUNTS
    for old, gradient, count, new in zip((X, Y, b, c), gradients, counts, after, strict=True):
        step = 1e-3 / (1 + 2e-3 * count) * gradient
        np.testing.assert_allclose(new - old, -step, atol=1e-6)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_another_rating_scale_changes_only_the_units(optimizer: str) -> None:
    """Ratings times 20: factors times sqrt(20) on both sides, biases times 20."""
    users, items = block(1, 5, 3), block(2, 4, 3)
    wide = [
        side | {"factors": side["factors"] * 20**0.5, "bias": side["bias"] * 20}
        for side in (users, items)
    ]
    tile = Ratings(TINY.users, TINY.items, TINY.values * 20, 5, 4).tile
    *new, numbers = counted(epoch(optimizer=optimizer), users, items, TINY.tile)
    wide_epoch = epoch(optimizer=optimizer, std=20.0, mean=60.0)
    *new_wide, wide_numbers = counted(wide_epoch, wide[0], wide[1], tile)
    for side, side_wide in zip(new, new_wide, strict=True):
        np.testing.assert_allclose(side_wide["factors"], side["factors"] * 20**0.5, rtol=1e-4)
        np.testing.assert_allclose(side_wide["bias"], side["bias"] * 20, rtol=1e-4)
    assert wide_numbers["train_error"] == pytest.approx(400 * numbers["train_error"], rel=1e-5)


def test_batches_follow_one_another() -> None:
    """With a rating a step, the epoch is four steps in an order that the seed decides."""
    users, items = block(1, 5, 3), block(2, 4, 3)
    together = weights(*run(epoch(batch_size=4), users, items, TINY.tile))[0]
    orders = [weights(*run(epoch(batch_size=1, seed=s), users, items, TINY.tile)) for s in range(9)]
    steps = [order for order in orders if not np.allclose(order[0], together, atol=1e-6)]
    assert len(steps) == 9
    assert len({order[0].tobytes() for order in orders}) > 1
    # Users 2 and 3 have a rating each, so that only item 2 makes the order matter to user 3.
    assert len({order[0][3].tobytes() for order in orders}) == 1


def test_the_same_seed_gives_the_same_bits() -> None:
    tile = stars(1, 30, 20, 0.4).tile
    blocks = block(1, 30, 4), block(2, 20, 4)
    once, again, other = (run(epoch(seed=s), *blocks, tile) for s in (7, 7, 8))
    assert equal(once, again)
    assert not equal(once, other)


def test_errors_are_those_of_the_predictions_made() -> None:
    users, items = block(1, 5, 3), block(2, 4, 3)
    held_out = np.array([False, True, False, False])
    steps = epoch(batch_size=0)
    new_users, new_items, numbers = counted(steps, users, items, TINY.tile, held_out)

    def squared_errors(users: Arrays, items: Arrays) -> Array:
        X, Y, b, c = weights(users, items)
        return ((TINY.dense - 3.0 - b[:, None] - c - X @ Y.T) ** 2)[TINY.users, TINY.items]

    before, after = squared_errors(users, items), squared_errors(new_users, new_items)
    assert numbers["train_error"] == pytest.approx(before[~held_out].sum(), rel=1e-5)
    assert numbers["validation_error"] == pytest.approx(after[held_out].sum(), rel=1e-5)
    assert (numbers["n_train"], numbers["n_validation"]) == (3, 1)


@pytest.mark.parametrize("batch_size", [0, 4])
def test_held_out_ratings_change_nothing(batch_size: int) -> None:
    """Training with a rating held out is training without it."""
    users, items = block(1, 5, 3), block(2, 4, 3)
    held_out = np.array([False, True, False, False])
    steps = epoch(batch_size=batch_size)
    with_it = run(steps, users, items, TINY.tile, held_out)
    without = run(steps, users, items, TINY.take(~held_out).tile)
    assert equal(with_it, without)
    strange = Ratings(TINY.users, TINY.items, np.array([5.0, 99.0, 4.0, 2.5]), 5, 4)
    assert equal(with_it, run(steps, users, items, strange.tile, held_out))


def test_without_biases_they_neither_change_nor_matter() -> None:
    users, items = block(1, 5, 3), block(2, 4, 3)
    new_users, new_items = run(epoch(biases=False), users, items, TINY.tile)
    assert (new_users["bias"] == users["bias"]).all()
    assert (new_items["bias"] == items["bias"]).all()
    flat = users | {"bias": np.zeros(5, np.float32)}
    assert (
        run(epoch(biases=False), flat, items, TINY.tile)[0]["factors"] == new_users["factors"]
    ).all()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_learns(optimizer: str) -> None:
    tile = stars(1, 30, 20, 0.4).tile
    users, items = block(1, 30, 4, std=0.1), block(2, 20, 4, std=0.1)
    errors: list[float] = []
    for seed in range(30):
        one = epoch(optimizer=optimizer, batch_size=16, reg=0.02, seed=seed)
        users, items, numbers = counted(one, users, items, tile)
        errors.append(numbers["train_error"])
    assert errors[-1] < 0.3 * errors[0]


@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
@pytest.mark.parametrize("batch_size", [0, 7])
def test_state_belongs_to_rows_and_goes_with_them(optimizer: str, batch_size: int) -> None:
    """A block that met one tile meets another: its rows keep their state, the others start."""
    users, items, others = block(1, 12, 3), block(2, 9, 3), block(3, 9, 3)
    first, second = stars(1, 12, 9, 0.4).tile, stars(2, 12, 9, 0.4).tile
    steps = epoch(optimizer=optimizer, batch_size=batch_size)
    users, items = run(steps, users, items, first)
    state = {name for name in users if "." in name}
    assert {name.partition(".")[2] for name in state} >= {"step"}
    went_on = run(steps, users, others, second)
    forgot = run(steps, {name: users[name] for name in ("factors", "bias")}, others, second)
    assert not np.allclose(went_on[0]["factors"], forgot[0]["factors"], atol=1e-4)
    assert went_on[0]["rows.step"] == 2 * users["rows.step"] or batch_size
    assert went_on[1]["rows.step"] < went_on[0]["rows.step"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("batch_size", [0, 7])
@pytest.mark.parametrize("shape", [(5, 4), (0, 4), (5, 0)])
def test_a_tile_without_ratings_changes_nothing(
    optimizer: str, batch_size: int, shape: tuple[int, int]
) -> None:
    """Not even rows with momentum, which a step with gradient 0 would move."""
    users, items = block(1, 5, 3), block(2, 4, 3)
    steps = epoch(optimizer=optimizer, batch_size=batch_size)
    users, items = run(steps, users, items, TINY.tile)
    rows = [
        {name: a[:n] if "." not in name or a.ndim > 1 else a for name, a in b.items()}
        for b, n in ((users, shape[0]), (items, shape[1]))
    ]
    empty = Tile.from_triples(*np.empty((3, 0), int), *shape)
    *after, numbers = counted(steps, rows[0], rows[1], empty)
    assert equal((after[0], after[1]), (rows[0], rows[1]))
    assert (numbers["train_error"], numbers["n_train"]) == (0, 0)


# --- golden figures: embeddings only, full-batch Adam, standard normal start ----------------------


def adam_losses(ratings: Ratings, rank: int, epochs: int, seed: int) -> list[float]:
    """Mean squared error of each epoch."""
    steps = epoch(
        optimizer="adam", learning_rate=0.01, reg=0.0, batch_size=0, biases=False, mean=0.0
    )
    users, items = (
        block(seed, ratings.n_users, rank, 1.0),
        block(seed + 1, ratings.n_items, rank, 1.0),
    )
    losses: list[float] = []
    for _ in range(epochs):
        users, items, numbers = counted(steps, users, items, ratings.tile)
        losses.append(numbers["train_error"] / len(ratings))
    return losses


@pytest.mark.parametrize("seed", range(5))
def test_golden_tiny_interactions(golden: Any, seed: int) -> None:
    triples = np.array(golden("tiny_interactions")["interactions_user_item_rating"])
    ratings = Ratings(triples[:, 0], triples[:, 1], triples[:, 2].astype(np.float64), 3, 5)
    losses = adam_losses(ratings, 5, 500, seed)
    assert (np.diff(losses[:100:10]) < 0).all()
    assert losses[99] < 2.0
    assert losses[499] < 0.01


def test_golden_survey(golden: Any) -> None:
    ratings, _, _ = survey()
    bound = golden("survey")["torch_mf_rank4_adam"]["accept_train_mse_below"]
    assert adam_losses(ratings, 4, 1000, seed=1)[900] < bound
