from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from mfspark.config import ModelName
from mfspark.models.torch_mf import MeetBlocks, TorchMF
from tests.grids import Fit, Fitted, Ratings, fitter, grid_of, movielens, planted, survey
from tests.models.contract import FEW, RATINGS, FactorContract, options_of


class TestSGD(FactorContract):
    name: ClassVar[ModelName] = "torch_mf"
    options: ClassVar[dict[str, Any]] = {
        "rank": 4,
        "epochs": 6,
        "batch_size": 16,
        "learning_rate": 0.05,
        "device": "cpu",
    }
    planted_options: ClassVar[dict[str, Any]] = {
        "rank": 3,
        "epochs": 30,
        "batch_size": 64,
        "learning_rate": 0.04,
        "reg": 0.02,
        "device": "cpu",
    }
    planted_rmse: ClassVar[float] = 0.36
    halfway: ClassVar[float] = 0.08
    """By how much the error may differ between cuts after a few epochs; see the planted matrix for
    what it ends with."""
    tolerance: ClassVar[float] = 1e-4  # of one block count: only the number of items differs

    def check_same_answers(self, found: Fitted, expected: Fitted, ratings: Ratings) -> None:
        """Steps come in another order in other blocks: it is the errors that agree."""
        assert found.rmse(ratings) == pytest.approx(expected.rmse(ratings), abs=self.halfway)
        known = [len(row) for row in found.lists(8)]
        assert known == [len(row) for row in expected.lists(8)]

    def test_more_blocks_than_users_and_items(self, fit: Fit) -> None:
        """A batch of 16 is then a batch of one or none: only the progress can be compared."""
        for blocks in (1, 9):
            fitted = fit(FEW, blocks)
            falling = losses(fitted, "train")
            assert falling[-1] < falling[0]
            assert np.isfinite(fitted.predictions).all()
            self.check_ranked(fitted, FEW, 3)


class TestAdagrad(TestSGD):
    options: ClassVar[dict[str, Any]] = TestSGD.options | {
        "optimizer": "adagrad",
        "learning_rate": 0.2,
    }
    planted_options: ClassVar[dict[str, Any]] = TestSGD.planted_options | {
        "optimizer": "adagrad",
        "learning_rate": 0.3,
    }


class TestAdam(TestSGD):
    halfway: ClassVar[float] = 0.15  # a block counts its own steps, by which Adam scales them
    options: ClassVar[dict[str, Any]] = TestSGD.options | {
        "optimizer": "adam",
    }
    planted_options: ClassVar[dict[str, Any]] = TestSGD.planted_options | {"optimizer": "adam"}


def losses(fitted: Fitted, split: str) -> list[float]:
    return [loss.value for loss in fitted.model.history if loss.split == split]


def test_validation_ratings_are_the_same_in_any_number_of_blocks(tmp_path: Path) -> None:
    """At a vanishing learning rate the validation loss is that of the start, whatever the cut."""
    options = options_of(
        "torch_mf", rank=3, epochs=1, learning_rate=1e-12, validation_share=0.3, device="cpu"
    )
    fit = fitter(tmp_path, "torch_mf", options)
    one = fit(RATINGS).model.history
    assert [loss.split for loss in one] == ["train", "validation"]
    for blocks in (2, 7):
        for loss, expected in zip(fit(RATINGS, blocks).model.history, one, strict=True):
            assert loss.value == pytest.approx(expected.value, rel=1e-5)


def test_training_stops_when_the_validation_loss_no_longer_falls(tmp_path: Path) -> None:
    train, _ = planted(1, 60, 40, 900, noise=1.0)  # too few ratings for rank 20: it overfits
    options = options_of(
        "torch_mf",
        rank=20,
        epochs=200,
        reg=0.0,
        learning_rate=0.05,
        decay=1.0,
        batch_size=32,
        validation_share=0.2,
        patience=4,
        device="cpu",
    )
    validation = losses(fitter(tmp_path, "torch_mf", options)(train, 2), "validation")
    assert 4 < len(validation) < 200
    assert min(validation[-4:]) >= min(validation[:-4])  # none of the last four was better
    assert min(validation[-5:-1]) < min(validation[:-5] or [np.inf])


def test_every_epoch_and_tile_is_shuffled_anew() -> None:
    options = options_of("torch_mf", rank=2, batch_size=8, decay=1.0, device="cpu").torch_mf
    grid = grid_of(RATINGS, 1, 1)
    start = TorchMF(options, 3.0, seed=1).start(grid, "start")
    users, items = (grid.store.get(side.references[0]) for side in (start.user, start.item))

    def trained(seed: int, epoch: int, pair: tuple[int, int]) -> bytes:
        meet = MeetBlocks(options, 3.0, options.reg, seed, epoch, grid.layout)
        return meet(users, items, RATINGS.tile, pair)[0]["factors"].tobytes()

    cases = [(1, 1, (0, 0)), (1, 2, (0, 0)), (1, 1, (1, 0)), (1, 1, (0, 1)), (2, 1, (0, 0))]
    assert len({trained(*case) for case in cases}) == len(cases)
    assert trained(*cases[1]) == trained(*cases[1])


def test_the_learning_rate_decays(tmp_path: Path) -> None:
    """So fast that all epochs after the first change nothing."""
    base = {"rank": 3, "batch_size": 16, "decay": 1e-12, "device": "cpu"}
    one, five = (
        fitter(tmp_path / str(n), "torch_mf", options_of("torch_mf", epochs=n, **base))(RATINGS)
        for n in (1, 5)
    )
    np.testing.assert_allclose(five.predictions, one.predictions, atol=1e-6)


def test_golden_survey_figure(golden: Any, tmp_path: Path) -> None:
    """Embeddings only, rank 4, full-batch Adam, standard normal start, 1000 steps."""
    options = options_of(
        "torch_mf",
        rank=4,
        epochs=901,
        optimizer="adam",
        learning_rate=0.01,
        decay=1.0,
        batch_size=0,
        biases=False,
        center=False,
        init_std=1.0,
        reg=0.0,
        device="cpu",
    )
    rmse = losses(fitter(tmp_path, "torch_mf", options)(survey()[0]), "train")
    bound = golden("survey")["torch_mf_rank4_adam"]["accept_train_mse_below"]
    assert rmse[900] ** 2 < bound


def test_movielens(data_set: Any, tmp_path: Path) -> None:
    """Baseline: 0.962."""
    train, test = movielens(data_set("ml-100k"))
    options = options_of(
        "torch_mf",
        rank=16,
        epochs=20,
        batch_size=256,
        learning_rate=0.01,
        reg=0.05,
        device="cpu",
    )
    fit = fitter(tmp_path, "torch_mf", options)
    rmse = [fit(train, blocks).rmse(test) for blocks in (1, 7)]
    assert min(rmse) > 0.925
    assert max(rmse) < 0.945
    assert max(rmse) - min(rmse) < 2e-3
