"""The catalog holds every fact of a metric: a row more is a metric more, everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from mfspark.config.gates import Gates
from mfspark.config.publish import ServingOptions
from mfspark.evaluation import catalog
from mfspark.evaluation.catalog import METRICS, NDCG, REFERENCES, RMSE, Metric
from mfspark.evaluation.metrics import errors_of_users, figure_of, sums_of_users
from mfspark.models.registry import REFERENCES as REFERENCE_MODELS
from mfspark.queries.report_data import report_of
from mfspark.queries.summary import summarise
from mfspark.schemas import IdTypes, table_schema
from mfspark.tables.run import PublishedRun
from tests.support import made_run

TOY = Metric(
    *("mse", "MSE", "rating", ("squared_error", "n_test")),
    lower_is_better=True, shown=True, charted=True,
)  # fmt: skip


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "METRICS", (*METRICS, TOY))


@pytest.mark.usefixtures("toy")
def test_a_row_more_is_measured() -> None:
    sums = sums_of_users(errors_of_users(np.array([0, 1]), np.array([-2.0, -1.0]), 2))
    measured = zip(catalog.of_users(), sums, strict=True)
    found = {metric.name: figure_of(metric, row).value for metric, row in measured}
    assert {name: value for name, value in found.items() if value is not None} == {
        "rmse": 2.5**0.5,
        "mse": 2.5,
        "mae": 1.5,
    }


@pytest.mark.usefixtures("toy")
def test_a_row_more_is_shown_and_charted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_squares(ndcg: dict[str, float]) -> list[dict[str, Any]]:
        rows = own_metrics(ndcg)
        squares = [row | {"metric": "mse", "value": row["value"] ** 2} for row in rows]
        return rows + [row for row in squares if row["k"] is None]

    own_metrics = made_run._metrics
    monkeypatch.setattr(made_run, "_metrics", with_squares)
    run = PublishedRun(tmp_path, made_run.publish_run(tmp_path))
    shown = summarise(run).metrics[-1]
    assert (shown.metric, shown.title) == (TOY, "MSE")
    assert {model: figure.value for model, figure in shown.figures.items()} == {
        model: value**2 for model, value in made_run.METRICS
    }
    assert [model for model, figure in shown.figures.items() if figure.best] == ["als"]
    assert report_of(run).metrics[-1] == shown


def test_whoever_serves_may_be_chosen_by_every_metric_of_lists() -> None:
    named = get_args(ServingOptions.model_fields["metric"].annotation)
    assert sorted(named) == sorted(metric.name for metric in catalog.of_kind("ranking"))
    assert [catalog.metric_named(name).name for name in named] == list(named)


def test_every_metric_comes_from_columns_that_there_are() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    known = set(table_schema("user_metrics", IdTypes()).names)
    for metric in METRICS:
        assert {*metric.columns} <= known, metric.name
        assert not metric.gate or metric.gate in Gates.model_fields, metric.name
    assert {metric.reference for metric in METRICS} == set(REFERENCES) == set(REFERENCE_MODELS)


def test_values_of_sums() -> None:
    assert RMSE.value(np.array([[8.0, 2.0], [27.0, 3.0]])).tolist() == [2.0, 3.0]
    assert NDCG.value(np.array([3.0]), 4) == 0.75


def test_better_and_best() -> None:
    assert RMSE.beats(0.9, 1.0)
    assert not RMSE.beats(1.0, 1.0)
    assert NDCG.beats(0.3, 0.2)
    assert RMSE.best({"a": 1.0, "b": 0.9, "c": 0.9}) == "b"
    assert NDCG.best({"a": 0.2, "b": 0.1}) == "a"
