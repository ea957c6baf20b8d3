"""The toy data of the reference notebooks: users, movies and ratings drawn at random.

There is nothing to learn in it; it is for looking at shapes, similarity matrices and plots.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from mfspark.errors import ConfigError
from mfspark.samples.folder import writable_folder


@dataclass(frozen=True)
class ToySpec:
    """What to draw; equal specs give equal ratings. Raises ConfigError for a number below 1."""

    n_users: int = 20
    n_movies: int = 15
    n_draws: int = 200
    """Ratings drawn; those of a pair that was drawn before are dropped."""
    seed: int = 42

    def __post_init__(self) -> None:
        for name in ("n_users", "n_movies", "n_draws"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)} must be 1 or more")


def toy_ratings(spec: ToySpec) -> pa.Table:
    """Return userId, movieId (both from 1) and rating (1 to 5), in the order they were drawn."""
    rng = np.random.default_rng(spec.seed)
    users = rng.integers(1, spec.n_users + 1, spec.n_draws)
    movies = rng.integers(1, spec.n_movies + 1, spec.n_draws)
    ratings = rng.integers(1, 6, spec.n_draws)
    _, first = np.unique(users * (spec.n_movies + 1) + movies, return_index=True)
    kept = np.sort(first)
    columns = {"userId": users[kept], "movieId": movies[kept], "rating": ratings[kept]}
    return pa.table(columns)


def write_toy(spec: ToySpec, out: Path) -> list[Path]:
    """Write ratings.csv and items.csv to a folder and return them.

    Raises ConfigError when the folder cannot be written.
    """
    movies = np.arange(1, spec.n_movies + 1)
    titles = [f"Movie {number:02d}" for number in movies]
    with writable_folder(out):
        tables = {
            out / "ratings.csv": toy_ratings(spec),
            out / "items.csv": pa.table({"movieId": movies, "title": titles}),
        }
        for path, table in tables.items():
            pa_csv.write_csv(table, str(path))
    return list(tables)
