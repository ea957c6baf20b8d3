"""What a published run is good for later: the next night starts from it, new users are taken in."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from typer.testing import CliRunner

from mfspark.cli import app
from mfspark.errors import ConfigError, NotFoundError
from mfspark.models.records import cut_key
from mfspark.queries.fold_in import fold_in
from mfspark.tables.night import Night
from mfspark.tables.run import PublishedRun
from tests.support import made_run
from tests.support.nights import FEW_DRAWS, run_night, table
from tests.support.reference import ials_rows, ridge_rows

OPTIONS = (
    'models.run=["als","ials","bayesian_mf","torch_mf"]',
    "models.als.rank=4",
    "models.ials.rank=4",
    "models.bayesian_mf.rank=2",
    "models.torch_mf.epochs=12",
    "models.torch_mf.warm_epochs=3",
    "models.bayesian_mf.warm_burn_in=1",
    "completed.max_cells=0",
    "grid.blocks=2",
    'similarity.tables="all"',
    *FEW_DRAWS,
)
WARM = (*OPTIONS, "models.warm_start=true")


@pytest.fixture(scope="module")
def first(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Night:
    return run_night(spark, tmp_path_factory.mktemp("nights"), *WARM, run_date="2026-11-21")


@pytest.fixture(scope="module")
def second(spark: SparkSession, first: Night) -> Night:
    return run_night(spark, first.warehouse.root, *WARM, run_date="2026-11-22")


def losses(night: Night, part: str) -> dict[str, pd.Series]:
    """Return the training losses of each model by iteration."""
    history = table(night.warehouse.root, "loss_history", night.run_id)
    mine = history[(history.part == part) & (history.split == "train")]
    return {m: f.set_index("iteration").loss for m, f in mine.groupby("model")}


def test_the_next_night_starts_from_the_last_factors(first: Night, second: Night) -> None:
    assert second.current_run == first.run_id
    cold, warm = losses(first, "all"), losses(second, "all")
    assert set(cold) == set(warm) == {"als", "ials", "bayesian_mf", "torch_mf"}
    assert warm["torch_mf"].index.tolist() == [10, 11, 12]
    assert warm["bayesian_mf"].index.tolist() == list(range(4, 13))  # one draw to burn in
    for model in cold:
        gap = cold[model].iloc[0] - cold[model].iloc[-1]
        assert warm[model].iloc[0] < cold[model].iloc[-1] + 0.3 * gap


def test_what_is_measured_never_starts_from_what_saw_the_test(first: Night, second: Night) -> None:
    cold, again = losses(first, "train"), losses(second, "train")
    for model in cold:
        pd.testing.assert_series_equal(cold[model], again[model])


def test_factors_with_the_column_names_of_another_version_are_no_start(
    spark: SparkSession, first: Night, tmp_path: Path
) -> None:
    shutil.copytree(first.warehouse.root, tmp_path, dirs_exist_ok=True)
    made_run.with_former_names(tmp_path, first.run_id)
    alone = ('models.run=["als"]', 'evaluation.split="none"')
    night = run_night(spark, tmp_path, *WARM, *alone, run_date="2026-11-22")
    pd.testing.assert_series_equal(losses(night, "all")["als"], losses(first, "all")["als"])


def factors(run: PublishedRun, model: str, side: str) -> dict[str, tuple[np.ndarray, float]]:
    rows = run.rows(f"from {{{side}_factors}} where model = ?", model)
    return {row[f"{side}_id"]: (np.array(row["factors"]), row["bias"]) for row in rows}


@pytest.mark.parametrize("user", ["Respondent 02", "Respondent 45"])
def test_a_user_is_taken_in_as_a_half_step_would(first: Night, user: str) -> None:
    """The ratings of a user we know, as if they were new, against dense solutions."""
    run = PublishedRun(first.warehouse.root, first.run_id)
    rows = run.rows("select item_id, rating from {ratings} where user_id = ?", user)
    ratings = {row["item_id"]: row["rating"] for row in rows}
    cut, models = run.record(cut_key("all")), run.manifest.config["models"]
    assert cut is not None
    tiles = cut.tiles

    items = factors(run, "als", "item")
    names = sorted(items)
    F = np.array([[*items[i][0], 1.0] for i in names])
    targets = np.array([[ratings.get(i, np.nan) - tiles.mean - items[i][1] for i in names]])
    prior_count = max(15.0, 0.75 * tiles.n_ratings**0.5)
    reg = 9.75 / (75 + prior_count) * tiles.std
    w = ridge_rows(targets, F, reg, prior_count, models["als"]["damping"])[0][0]
    scores = {i: tiles.mean + items[i][1] + w @ F[n] for n, i in enumerate(names)}
    check(fold_in(run, ratings, "als", 5).items, scores, ratings)

    items = factors(run, "ials", "item")
    Y = np.array([items[i][0] for i in names])
    options = models["ials"]
    r = np.array([[ratings.get(i, 0.0) for i in names]])
    chosen = r >= 4.0  # what the evaluation calls relevant
    assert chosen.any()
    W = options["alpha"] * chosen * r / tiles.unit
    x = ials_rows(W, Y, options["reg"], options["alpha"])[0][0]
    check(fold_in(run, ratings, "ials", 5).items, dict(zip(names, Y @ x, strict=True)), ratings)


def check(found: list, scores: dict[str, float], ratings: dict[str, float]) -> None:
    unseen = {i: min(5.0, s) for i, s in scores.items() if i not in ratings}
    assert [score for _, _, score in found] == pytest.approx(
        sorted(unseen.values(), reverse=True)[: len(found)], abs=1e-4
    )
    assert all(unseen[i] == pytest.approx(score, abs=1e-4) for i, _, score in found)
    assert len({i for i, _, _ in found}) == min(5, len(unseen))


def test_beyond_the_scale_items_are_still_ranked(first: Night) -> None:
    """Clamped first, all would be 5 and stand in the order of their ids."""
    run = PublishedRun(first.warehouse.root, first.run_id)
    item = run.rows("select item_id from {items} order by item_id")[0]["item_id"]
    found = fold_in(run, {item: 9999.0}, "als")
    assert found.notes == [f"off the night's scale, 1 to 5: {item}=9999"]
    ids = [one for one, _, score in found.items if score == 5.0]
    assert len(ids) > 2
    assert ids != sorted(ids)


def test_taking_in_says_what_it_cannot_use(first: Night) -> None:
    run = PublishedRun(first.warehouse.root, first.run_id)
    item = run.rows("select item_id from {items} limit 1")[0]["item_id"]
    assert fold_in(run, {item: 5.0, "Nosuch": 4.0}).unknown == ["Nosuch"]
    with pytest.raises(ConfigError, match="none of the 1 rated items"):
        fold_in(run, {"Nosuch": 4.0})
    with pytest.raises(NotFoundError, match="model 'torch_mf' cannot take in new users"):
        fold_in(run, {item: 5.0}, "torch_mf")


def fold(night: Night, *arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(
        app, ["fold-in", *arguments, "--warehouse", str(night.warehouse.root)]
    )
    return result.exit_code, result.stdout, result.stderr


def test_the_command_lists_items_for_somebody_new(first: Night) -> None:
    run = PublishedRun(first.warehouse.root)
    items = [row["item_id"] for row in run.rows("select item_id from {items} order by item_id")]
    status, shown, _ = fold(first, f"{items[0]}=5", f"{items[1]}=1.5", "Nosuch=3", "-n", "4")
    expected = fold_in(run, {items[0]: 5.0, items[1]: 1.5}, n=4)
    assert status == 0
    places = [shown.index(str(item)) for item, _, _ in expected.items]
    assert len(places) == 4
    assert places == sorted(places)
    assert f"For 3 ratings, by {expected.model} of run" in shown
    assert "left out: Nosuch" in shown


@pytest.mark.parametrize("text", ["318", "=5", "318=", "318=five", "318=nan"])
def test_the_command_says_how_a_rating_is_written(first: Night, text: str) -> None:
    status, shown, error = fold(first, text)
    assert (status, shown) == (2, "")
    assert f"'{text}' is not ITEM=RATING" in error
