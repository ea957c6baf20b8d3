"""svd and nmf in a whole night, and the completed matrix: rounded, inside the scale, marked."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from mfspark.queries.completed import completed_matrix, write_long, write_wide
from mfspark.tables.run import PublishedRun
from tests.support.nights import check_lists, run_night, table


@pytest.fixture(scope="module")
def night(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The survey, with factors that rank (svd) and that predict (nmf)."""
    warehouse = tmp_path_factory.mktemp("matrix")
    run_night(
        spark,
        warehouse,
        'models.run=["svd","nmf"]',
        "models.svd.rank=4",
        "models.nmf.rank=3",
        'models.nmf.unrated="masked"',
        "models.nmf.reg=0.05",
        'evaluation.split="none"',
        'publish.round_to="step"',
    )
    return warehouse


def test_lists_and_factors_are_published(night: Path) -> None:
    top_n = check_lists(night, n=10)
    assert set(top_n.model) == {"svd", "nmf"}
    rated = top_n[top_n.model == "nmf"]
    assert rated.score.isin([1, 2, 3, 4, 5]).all()
    factors = table(night, "item_factors")
    widths = factors.groupby("model").factors.apply(lambda rows: {len(row) for row in rows})
    assert widths[["svd", "nmf"]].to_dict() == {"svd": {4}, "nmf": {3}}
    assert all((row >= 0).all() for row in factors[factors.model == "nmf"].factors)


def test_svd_scores_are_those_of_numpy(night: Path) -> None:
    """Unrated is 0, rank 4; the model that only ranks fills no matrix, so nmf did."""
    matrix = completed_matrix(PublishedRun(night))
    U, s, V = np.linalg.svd(np.nan_to_num(matrix.ratings), full_matrices=False)
    expected = (U[:, :4] * s[:4]) @ V[:4]
    lists = table(night, "top_n").query("model == 'svd' and tier == 'svd'")
    assert len(lists) > 50
    for row in lists.itertuples():
        at = matrix.users.index(row.user_id), matrix.items.index(row.item_id)
        assert row.score == pytest.approx(expected[at], abs=1e-5)


def test_the_completed_matrix_is_rounded_and_inside_the_scale(night: Path) -> None:
    matrix = completed_matrix(PublishedRun(night))
    assert matrix.filled.shape == (45, 10)
    assert matrix.known.sum() == 376
    assert set(np.unique(matrix.predictions)) <= {1.0, 2.0, 3.0, 4.0, 5.0}
    assert (matrix.filled[matrix.known] == matrix.ratings[matrix.known]).all()


def test_wide_and_long_files_mark_what_was_known(night: Path, tmp_path: Path) -> None:
    matrix = completed_matrix(PublishedRun(night))
    write_wide(matrix, tmp_path / "wide.csv")
    write_long(matrix, tmp_path / "long.csv")
    with (tmp_path / "wide.csv").open() as wide, (tmp_path / "long.csv").open() as long:
        header, *rows = csv.reader(wide)
        cells = list(csv.DictReader(long))
    assert header == ["user", *matrix.names]
    marked = {
        (row[0], name): (value.rstrip("*"), value.endswith("*"))
        for row in rows
        for name, value in zip(header[1:], row[1:], strict=True)
    }
    assert sum(known for _, known in marked.values()) == 376
    assert {(c["user"], c["title"]): (c["value"], c["known"] == "true") for c in cells} == marked
