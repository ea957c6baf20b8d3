"""MovieLens 100K as arrays: the canonical split u1 and random folds."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mfspark.grid.cut import EPOCH

Array = np.ndarray

N_USERS, N_ITEMS, N_FOLDS = 943, 1682, 5


@dataclass(frozen=True)
class Ratings:
    """Ratings as arrays (n): user index int64, item index int64, value float64."""

    users: Array
    items: Array
    values: Array
    minutes: Array
    """When they were made, float64 (n), as grid.cut has it."""

    @property
    def dense(self) -> Array:
        """All cells, float64 (users, items); NaN where there is no rating."""
        R = np.full((N_USERS, N_ITEMS), np.nan)
        R[self.users, self.items] = self.values
        return R

    def __len__(self) -> int:
        return len(self.values)

    def take(self, chosen: Array) -> Ratings:
        """Return the ratings under a mask."""
        columns = self.users, self.items, self.values, self.minutes
        return Ratings(*(column[chosen] for column in columns))


Split = tuple[Ratings, Ratings]


def data_folder() -> Path:
    """Return where MovieLens 100K lies."""
    shared = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("MFSPARK_TEST_DATA", shared), "ml-100k")


def read_ratings(name: str) -> Ratings:
    """Return the ratings of a file, such as u1.base."""
    names = ["user", "item", "rating", "second"]
    table = pd.read_csv(data_folder() / name, sep="\t", names=names)
    minutes = (table["second"].to_numpy() - int(EPOCH.timestamp())) // 60
    users, items = (table[side].to_numpy() - 1 for side in ("user", "item"))
    values = table["rating"].to_numpy().astype(np.float64)
    return Ratings(users, items, values, minutes.astype(np.float64))


def splits(n_folds: int) -> tuple[Split, list[Split]]:
    """Return u1, and the first folds of five: random, one seed."""
    canonical = read_ratings("u1.base"), read_ratings("u1.test")
    every = read_ratings("u.data")
    fold = np.random.default_rng(0).permutation(len(every)) % N_FOLDS
    return canonical, [(every.take(fold != f), every.take(fold == f)) for f in range(n_folds)]


def rmse(predicted: Array, test: Ratings) -> float:
    """Return the root mean squared error of predictions kept inside the scale."""
    return float(np.sqrt(np.mean((np.clip(predicted, 1, 5) - test.values) ** 2)))
