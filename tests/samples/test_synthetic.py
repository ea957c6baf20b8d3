"""Synthetic ratings: counts, shapes, planted truth, determinism, memory, refusals."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from mfspark.errors import ConfigError
from mfspark.samples import synthetic as samples
from mfspark.samples.synthetic import (
    SyntheticSpec,
    true_rating,
    write_synthetic,
)

ML_100K = SyntheticSpec(n_users=943, n_items=1682, n_ratings=100_000)


def read(out: Path, spec: SyntheticSpec) -> pd.DataFrame:
    write_synthetic(spec, out, "parquet")
    return pq.read_table(out / "ratings").to_pandas()


def share_of_top(counts: np.ndarray, share: float) -> float:
    ordered = np.sort(counts)[::-1]
    return float(ordered[: max(1, int(len(ordered) * share))].sum() / ordered.sum())


@pytest.mark.parametrize(
    "spec",
    [
        SyntheticSpec(1, 1, 1),
        SyntheticSpec(3, 5, 15),  # every cell
        SyntheticSpec(7, 3, 20),  # all but one
        SyntheticSpec(50, 40, 40),  # fewer ratings than users
        SyntheticSpec(50, 40, 50),
        SyntheticSpec(50, 40, 51),
        SyntheticSpec(300, 200, 59_000),
        SyntheticSpec(2_000, 9_000, 30_000),
        SyntheticSpec(70_000, 70_000, 140_000),  # more rows than one block of factors
        ML_100K,
    ],
)
def test_exactly_the_ratings_asked_for_and_no_cell_twice(
    tmp_path: Path, spec: SyntheticSpec
) -> None:
    ratings = read(tmp_path, spec)
    assert len(ratings) == spec.n_ratings
    assert not ratings.duplicated(["user_id", "item_id"]).any()
    assert ratings["user_id"].between(1, spec.n_users).all()
    assert ratings["item_id"].between(1, spec.n_items).all()
    assert ratings["user_id"].nunique() == min(spec.n_users, spec.n_ratings)
    assert set(ratings["rating"] * 2) <= set(range(1, 11))
    assert ratings["timestamp"].between("2010-01-01", "2020-01-01").all()


def test_skewed_as_real_ratings_are(tmp_path: Path) -> None:
    """Bands around MovieLens 100K and ml-latest-small; uniform draws would give 0.10-0.13."""
    ratings = read(tmp_path, ML_100K)
    users = np.bincount(ratings["user_id"])[1:]
    items = np.bincount(ratings["item_id"], minlength=ML_100K.n_items + 1)[1:]
    assert users.min() >= 20
    assert 0.30 < share_of_top(users, 0.1) < 0.50
    assert 0.40 < np.median(users) / users.mean() < 0.75
    assert 0.40 < share_of_top(items, 0.1) < 0.65
    assert 0.07 < share_of_top(items, 0.01) < 0.16
    assert abs(np.corrcoef(np.arange(len(items)), items)[0, 1]) < 0.1, (
        "ids must not tell popularity"
    )
    assert 3.3 < ratings["rating"].mean() < 3.6
    assert 0.9 < ratings["rating"].std() < 1.15


def test_both_ways_of_drawing_agree() -> None:
    """Sparse and dense draws follow one distribution: items one after another, repeats skipped."""
    popularity = np.array([0.5, 0.2, 0.1, 0.1, 0.05, 0.05])
    n, k = 40_000, 3
    degrees, rng = np.full(n, k), np.random.default_rng(1)
    dense = samples._draw_dense(np.arange(n), degrees, popularity, rng)
    # 60 more items that are all but impossible make three of 66 "few", so drawn the sparse way.
    padded = np.concatenate([popularity, np.full(60, 1e-12)])
    sparse = samples._draw_items(degrees, padded, rng)
    shares = np.bincount(dense % 6, minlength=6) / n
    assert shares.sum() == pytest.approx(k)
    np.testing.assert_allclose(np.bincount(sparse % 66, minlength=66)[:6] / n, shares, atol=0.015)


def test_ratings_are_the_planted_truth_and_noise(tmp_path: Path) -> None:
    ratings = read(tmp_path, ML_100K)
    truth = true_rating(ML_100K, ratings["user_id"].to_numpy(), ratings["item_id"].to_numpy())
    error = ratings["rating"] - np.clip(truth, 0.5, 5)
    assert abs(error.mean()) < 0.04, "clipping pulls the many high ratings down a little"
    # noise 0.6 and rounding to halves (0.5 / sqrt(12)), less what clipping takes away
    assert 0.93 < error.std() / np.hypot(0.6, 0.5 / np.sqrt(12)) < 1.0
    shuffled = np.random.default_rng(0).permutation(truth)
    assert np.corrcoef(truth, ratings["rating"])[0, 1] > 0.78
    assert abs(np.corrcoef(shuffled, ratings["rating"])[0, 1]) < 0.02


def test_the_truth_is_low_rank_of_the_size_it_says() -> None:
    spec = SyntheticSpec(400, 300, 1000, rank=5)
    users, items = np.meshgrid(np.arange(1, 401), np.arange(1, 301), indexing="ij")
    truth = true_rating(spec, users, items)
    centered = truth - truth.mean(0) - truth.mean(1)[:, None] + truth.mean()
    singular = np.linalg.svd(centered, compute_uv=False)
    assert np.all(singular[:5] > 20)
    assert np.all(singular[5:] < 1e-9)
    assert centered.std() == pytest.approx(samples.INTERACTION_STD, rel=0.2)
    assert truth.mean(1).std() == pytest.approx(samples.USER_BIAS_STD, rel=0.15)
    assert truth.mean(0).std() == pytest.approx(samples.ITEM_BIAS_STD, rel=0.15)


def test_a_planted_row_is_the_same_whoever_asks() -> None:
    """Also where the rows asked for lie in several blocks, in no order."""
    spec = SyntheticSpec(200_000, 100_000, 1000)
    users, items = np.array([140_000, 1, 65_536, 65_537, 2]), np.array([1, 99_999, 7, 70_000, 1])
    together = true_rating(spec, users, items)
    alone = [true_rating(spec, users[i : i + 1], items[i : i + 1])[0] for i in range(5)]
    np.testing.assert_array_equal(together, alone)
    assert len(set(together)) == 5


def test_without_noise_ratings_are_the_rounded_truth(tmp_path: Path) -> None:
    spec = SyntheticSpec(100, 80, 2000, noise=0.0)
    ratings = read(tmp_path, spec)
    truth = true_rating(spec, ratings["user_id"].to_numpy(), ratings["item_id"].to_numpy())
    np.testing.assert_array_equal(ratings["rating"], np.clip(np.round(truth * 2) / 2, 0.5, 5))


def test_the_same_spec_gives_the_same_bytes(tmp_path: Path) -> None:
    def content(name: str, seed: int) -> list[bytes]:
        spec = SyntheticSpec(200, 100, 3000, seed=seed)
        return [path.read_bytes() for path in write_synthetic(spec, tmp_path / name)]

    assert content("a", 1) == content("b", 1)
    assert content("a", 1)[0] != content("c", 2)[0]


def test_chunks_and_files_leave_no_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "_CHUNK", 3_000)
    monkeypatch.setattr(samples, "_FILE", 10_000)
    spec, shares = SyntheticSpec(500, 400, 40_000), list[float]()
    written = write_synthetic(spec, tmp_path, "parquet", shares.append)
    assert [p.name for p in written] == [f"part-{i:05d}.parquet" for i in range(4)] + ["items.csv"]
    ratings = pd.concat([pd.read_parquet(p) for p in written[:-1]])
    assert len(ratings) == 40_000
    assert not ratings.duplicated(["user_id", "item_id"]).any()
    cells = ratings["user_id"].to_numpy() * 401 + ratings["item_id"].to_numpy()
    assert np.all(np.diff(cells) > 0)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(shares) > 10


def test_csv_is_shaped_like_movielens(tmp_path: Path) -> None:
    spec = SyntheticSpec(100, 80, 2000)
    ratings_csv, items_csv = write_synthetic(spec, tmp_path / "new" / "folder")
    assert (ratings_csv.name, items_csv.name) == ("ratings.csv", "items.csv")
    lines = ratings_csv.read_text().splitlines()
    assert lines[0] == "userId,movieId,rating,timestamp"
    assert len(lines) == 2001
    items = pd.read_csv(items_csv)
    assert list(items.columns) == ["movieId", "title", "genres"]
    assert items["movieId"].tolist() == list(range(1, 81))
    assert items["genres"].str.match(r"^[\w|-]+$").all()
    parquet = read(tmp_path, spec)
    csv = pd.read_csv(ratings_csv)
    assert csv["rating"].tolist() == parquet["rating"].tolist()
    assert pd.to_datetime(csv["timestamp"], unit="s", utc=True).tolist() == list(
        parquet["timestamp"]
    )


def test_memory_is_bounded(tmp_path: Path) -> None:
    """A chunk's arrays, not the ratings: a million rows of four columns alone are 32 MB."""

    def peak(n_ratings: int) -> float:
        tracemalloc.start()
        try:
            spec = SyntheticSpec(n_ratings // 150, 3_700, n_ratings)
            write_synthetic(spec, tmp_path / "m", "parquet")
            return tracemalloc.get_traced_memory()[1] / 2**20
        finally:
            tracemalloc.stop()

    small, large = peak(450_000), peak(1_800_000)
    assert large < 150
    assert large < 1.2 * small


def test_writing_again_leaves_nothing_of_the_larger_sample(tmp_path: Path) -> None:
    assert len(read(tmp_path, SyntheticSpec(50, 40, 900))) == 900
    assert len(read(tmp_path, SyntheticSpec(50, 40, 100))) == 100
    (tmp_path / "ratings" / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match=r"holds other files .* mine.txt"):
        read(tmp_path, SyntheticSpec(50, 40, 100))
    assert (tmp_path / "ratings" / "mine.txt").read_text() == "keep"


def test_impossible_specs_are_told() -> None:
    with pytest.raises(ConfigError, match="16 ratings do not fit 3 users x 5 items"):
        SyntheticSpec(3, 5, 16)
    for wrong in ({"n_users": 0}, {"n_items": 2**31}, {"rank": 0}, {"noise": -1.0}, {"seed": -1}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            SyntheticSpec(**{"n_users": 3, "n_items": 5, "n_ratings": 5, **wrong})
