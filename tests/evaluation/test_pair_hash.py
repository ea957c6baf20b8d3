from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from mfspark.evaluation.pair_hash import _hash_int, _hash_texts, pair_hash, share_of_pair


def texts(n: int, seed: int) -> list[str]:
    """Ids of 1 to 90 bytes, some of them not ASCII."""
    rng = np.random.default_rng(seed)
    letters = np.array(list("ab7-_/\u00e9\u6f22\U0001d4b3"))
    return ["".join(rng.choice(letters, rng.integers(1, 45))) for _ in range(n)]


@pytest.mark.parametrize("seed", [0, 42, 2**31 - 1])
def test_the_hash_of_spark(spark: SparkSession, seed: int) -> None:
    """Texts of all lengths (from 32 bytes on in lanes), and integers of all sizes."""
    rng = np.random.default_rng(1)
    numbers = rng.integers(0, 10 ** rng.integers(1, 19, 3_000))
    rows = pa.table({"u": texts(3_000, 1), "i": texts(3_000, 2), "n": numbers})
    number = F.col("n").cast("string")
    for users, items, columns in (
        ("u", "i", ("u", "i")),
        ("n", "i", (number, "i")),
        ("i", "n", ("i", number)),
    ):
        hashed = F.xxhash64(F.lit(seed), *columns)
        expected = spark.createDataFrame(rows).select(hashed.alias("h")).toPandas().h
        arrays = (rows[name].combine_chunks() for name in (users, items))
        assert pair_hash(seed, *arrays).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("text", "seed", "expected"),
    [
        ("", 0, 0xEF46DB3751D8E999),
        ("a", 0, 0xD24EC4F1A98C6E5B),
        ("abc", 0, 0x44BC2CF5AD770999),
        ("xxhash", 20141025, 0xB559B98D844E0635),
        ("Nobody inspects the spammish repetition", 0, 0xFBCEA83C8A378BF1),
    ],
)
def test_published_values_of_xxh64(text: str, seed: int, expected: int) -> None:
    with np.errstate(over="ignore"):
        found = _hash_texts(pa.array([text]), np.zeros(1, int), np.array([seed], np.uint64))
    assert found.tolist() == [expected]


def test_the_example_of_spark() -> None:
    """Of its documentation: xxhash64('Spark', array(123), 2)."""
    with np.errstate(over="ignore"):
        first = _hash_texts(pa.array(["Spark"]), np.zeros(1, int), np.array([42], np.uint64))
        found = _hash_int(2, _hash_int(123, first))
    assert found.view(np.int64).tolist() == [5602566077635097486]


def test_shares_are_even() -> None:
    n = 40_000
    users, items = np.divmod(np.arange(n), 200)
    shares = share_of_pair(42, pa.array(users), pa.array(items))
    assert (shares.min() >= 0) & (shares.max() < 1)
    assert np.abs(np.sort(shares) - np.arange(n) / n).max() < 0.01


def test_no_pairs() -> None:
    none = pa.array([], pa.string())
    assert len(pair_hash(42, none, none)) == 0
