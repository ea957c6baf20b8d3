from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.csv as pa_csv
import pytest

from mfspark.errors import ConfigError
from mfspark.samples.toy import ToySpec, toy_ratings, write_toy


def test_pairs_are_distinct_and_the_first_drawn_stays() -> None:
    spec = ToySpec(n_users=5, n_movies=4, n_draws=100, seed=3)
    table = toy_ratings(spec)
    pairs = list(zip(table["userId"].to_pylist(), table["movieId"].to_pylist(), strict=True))
    assert len(set(pairs)) == len(pairs) <= 20
    rng = np.random.default_rng(3)
    drawn = [rng.integers(1, high, 100).tolist() for high in (6, 5, 6)]
    first: dict[tuple[int, int], int] = {}
    for user, movie, rating in zip(*drawn, strict=True):
        first.setdefault((user, movie), rating)
    assert dict(zip(pairs, table["rating"].to_pylist(), strict=True)) == first
    assert pairs == list(first)


def test_equal_specs_give_equal_files(tmp_path: Path) -> None:
    one, two = (write_toy(ToySpec(), tmp_path / name) for name in ("one", "two"))
    assert [f.read_bytes() for f in one] == [f.read_bytes() for f in two]
    items = pa_csv.read_csv(one[1])
    assert items["title"].to_pylist()[:2] == ["Movie 01", "Movie 02"]
    assert toy_ratings(ToySpec(seed=1)) != toy_ratings(ToySpec(seed=2))


@pytest.mark.parametrize("name", ["n_users", "n_movies", "n_draws"])
def test_nothing_cannot_be_drawn(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        ToySpec(**{name: 0})
