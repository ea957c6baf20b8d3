"""When a whole training loop is one task."""

from __future__ import annotations

import pytest

from mfspark.grid.training import ratings_of_one_task


@pytest.mark.parametrize(
    ("master", "ratings"),
    [
        ("local[*]", 50_000_000),
        ("local[2,3]", 50_000_000),
        ("local", 50_000_000),
        ("local-cluster[2,1,1024]", 5_000_000),
        ("spark://127.0.0.1:7077", 5_000_000),
        ("yarn", 5_000_000),
        ("", 5_000_000),
    ],
)
def test_one_machine_trains_more_ratings_in_one_task(master: str, ratings: int) -> None:
    assert ratings_of_one_task(master) == ratings
