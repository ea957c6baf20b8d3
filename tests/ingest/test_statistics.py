"""Statistics of users and items against pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mfspark.ingest.statistics import NO_TIME, RatingTally

N_ROWS = 60


def ratings(kind: str, n: int = 1500) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    values = rng.integers(1, 11, n) / 2 if kind == "stars" else rng.normal(size=n) * 7
    times = np.where(rng.random(n) < 0.3, NO_TIME, rng.integers(0, 10**15, n))
    rows = np.minimum(rng.zipf(1.3, n), N_ROWS - 3).astype(np.int32)
    times[rows == 5] = NO_TIME
    return pd.DataFrame({"row": rows, "value": values, "time": times})


def tally(frame: pd.DataFrame) -> RatingTally:
    return RatingTally.of(*(frame[name].to_numpy() for name in ("row", "value", "time")), N_ROWS)


@pytest.mark.parametrize("kind", ["stars", "numbers"])
def test_each_row_is_described_as_by_pandas(kind: str) -> None:
    frame = ratings(kind)
    found = pa.table(tally(frame).described(N_ROWS)).to_pandas()
    truth = frame.groupby("row")["value"].describe().reindex(range(N_ROWS))
    assert found["n_ratings"].tolist() == truth["count"].fillna(0).astype(int).tolist()
    names = {"25%": "q25", "50%": "median", "75%": "q75"}
    for name in truth.columns.drop("count"):
        np.testing.assert_allclose(found[names.get(name, name)], truth[name], rtol=1e-9, atol=1e-12)
    known = frame[frame["time"] != NO_TIME].groupby("row")["time"].agg(["min", "max"])
    known = known.reindex(range(N_ROWS))
    for name, column in zip(("min", "max"), ("first_rated_at", "last_rated_at"), strict=True):
        expected = pd.to_datetime(known[name], unit="us", utc=True)
        assert found[column].isna().tolist() == expected.isna().tolist()
        assert (found[column].dropna() == expected.dropna()).all()


@pytest.mark.parametrize("kind", ["stars", "numbers"])
def test_tallies_of_parts_add_up(kind: str) -> None:
    frame = ratings(kind)
    parts = [tally(part) for _, part in frame.groupby(np.arange(len(frame)) % 7)]
    together, whole = RatingTally.stacked(parts).summed(N_ROWS), tally(frame)
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(together.arrays()[name], array)


def test_nothing_to_describe() -> None:
    empty = tally(ratings("stars").iloc[:0])
    assert pa.table(empty.described(2))["n_ratings"].to_pylist() == [0, 0]
    assert pa.table(empty.described(2))["mean"].to_pylist() == [None, None]
