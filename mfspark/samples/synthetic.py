"""Synthetic ratings of any size with a planted truth.

They are shaped like real ones. A user's number of ratings is log-normal (sigma 1.2)
above a minimum (20, or a quarter of the mean where that is less). Items are drawn without
replacement from a Zipf-Mandelbrot popularity p(rank) ~ (rank + 0.01 n_items)^-1.5. Measured:

    shape (users x items, ratings)       top 10% users   top 1% items   top 10% items   top item
    MovieLens 100K                            32%              7%             43%         62%
      synthetic 943 x 1682, 100 k             40%             12%             54%         87%
    ml-latest-small                           48%             16%             60%         54%
      synthetic 610 x 9724, 101 k             42%             21%             69%         53%
    synthetic 34600 x 13400, 5 M              42%             24%             71%         37%

The shares are of all ratings; the last column is the share of users who rated the top item. The
median user has 0.55-0.60 of the mean (MovieLens 100K 0.61, ml-latest-small 0.43).
A rating is the planted truth (`true_rating`) plus normal noise, rounded to half stars in 0.5..5.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mfspark.errors import ConfigError
from mfspark.samples.folder import writable_folder

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GLOBAL_MEAN, USER_BIAS_STD, ITEM_BIAS_STD, INTERACTION_STD = 3.5, 0.45, 0.5, 0.6
ACTIVITY_SIGMA, MIN_RATINGS = 1.2, 20
POPULARITY_EXPONENT, POPULARITY_SHIFT = 1.5, 0.01

_CHUNK = 400_000  # ratings generated at once: about 60 MB
_FILE = 5_000_000  # ratings a Parquet file
_BLOCK = 65_536  # rows of planted factors that share one generator
_FIRST_DAY, _DAYS = 1_262_304_000, 3_652  # 2010-01-01, ten years
_GENRES = ("Action", "Comedy", "Crime", "Drama", "Fantasy", "Horror", "Romance", "Sci-Fi")
# One stream of random numbers for each part, so that none depends on how much another drew.
_ACTIVITY, _POPULARITY, _CHUNKS, _USERS, _ITEMS, _TITLES = range(6)


@dataclass(frozen=True)
class SyntheticSpec:
    """What to generate; equal specs give equal ratings. Raises ConfigError where impossible."""

    n_users: int
    n_items: int
    n_ratings: int
    rank: int = 8
    """Rank of the planted interaction, besides the biases."""
    noise: float = 0.6
    """Standard deviation of the noise, in stars."""
    seed: int = 42

    def __post_init__(self) -> None:
        for name in ("n_users", "n_items", "n_ratings", "rank"):
            if not 1 <= getattr(self, name) < 2**31:
                raise ConfigError(f"{name} = {getattr(self, name)} must be 1 to 2147483647")
        if not 0 <= self.noise < float("inf") or self.seed < 0:
            raise ConfigError(f"noise = {self.noise} and seed = {self.seed} must not be negative")
        if self.n_ratings > self.n_users * self.n_items:
            raise ConfigError(
                f"{self.n_ratings} ratings do not fit {self.n_users} users x {self.n_items} items",
                "a user rates an item at most once: fewer ratings, or more users or items",
            )


def write_synthetic(
    spec: SyntheticSpec,
    out: Path,
    file_format: Literal["csv", "parquet"] = "csv",
    progress: Callable[[float], None] | None = None,
) -> list[Path]:
    """Write ratings and items to a folder, replacing earlier ones; return the files, ratings first.

    csv: `ratings.csv` (userId,movieId,rating,timestamp). parquet: `ratings/part-*.parquet`
    (user_id, item_id, rating, timestamp). Both: `items.csv` (movieId,title,genres). Ids count from
    1. Memory grows with users and items only: the whole process peaked at 350 MB for 5 M ratings
    and at 360 MB for 20 M. `progress` gets the share done. Raises ConfigError when the folder
    cannot be written.
    """
    with writable_folder(out):
        write = _write_csv if file_format == "csv" else _write_parquet
        written = write(_with_progress(spec, progress), out)
        return [*written, _write_items(spec, out / "items.csv")]


def true_rating(spec: SyntheticSpec, users: Ints, items: Ints) -> Floats:
    """Return mu + b_u + b_i + x_u.y_i, without noise, rounding or clipping.

    `users` and `items` are ids as written (from 1), of equal shape; the result has that shape.
    """
    b_u, x = _planted(spec, _USERS, np.asarray(users) - 1)
    b_i, y = _planted(spec, _ITEMS, np.asarray(items) - 1)
    return GLOBAL_MEAN + USER_BIAS_STD * b_u + ITEM_BIAS_STD * b_i + np.einsum("...k,...k", x, y)


def _planted(spec: SyntheticSpec, side: int, idx: Ints) -> tuple[Floats, Floats]:
    """Return unit biases (shape of idx) and factors (..., rank) of some rows, block by block."""
    blocks, within = np.divmod(idx, _BLOCK)
    rows = np.empty((*idx.shape, 1 + spec.rank))
    for block in range(int(blocks.max(initial=-1)) + 1):
        here = blocks == block
        if not here.any():
            continue
        # The whole block is drawn, so that a row is the same whoever asks for it.
        drawn = _stream(spec, side, block).standard_normal((_BLOCK, 1 + spec.rank))
        if here.all():  # the common case, several times faster
            rows = drawn[within]
        else:
            rows[here] = drawn[within[here]]
    scale = np.sqrt(INTERACTION_STD / np.sqrt(spec.rank))  # so that x.y has INTERACTION_STD
    return rows[..., 0], rows[..., 1:] * scale


def _stream(spec: SyntheticSpec, part: int, number: int = 0) -> np.random.Generator:
    return np.random.default_rng([spec.seed, part, number])


def _with_progress(
    spec: SyntheticSpec, progress: Callable[[float], None] | None
) -> Iterator[pa.RecordBatch]:
    done = 0
    for batch in _rating_chunks(spec):
        yield batch
        done += batch.num_rows
        if progress:
            progress(done / spec.n_ratings)


def _rating_chunks(spec: SyntheticSpec) -> Iterator[pa.RecordBatch]:
    """Yield all ratings by chunks of users; each chunk has its own random stream."""
    degrees = _ratings_per_user(spec)
    popularity = _popularity(spec)
    ends = np.cumsum(degrees)
    chunk_of_user = (ends - 1) // _CHUNK  # only the spec decides where chunks are cut
    starts = np.flatnonzero(np.diff(chunk_of_user, prepend=-1))
    for number, (low, high) in enumerate(zip(starts, [*starts[1:], spec.n_users], strict=True)):
        rng = _stream(spec, _CHUNKS, number)
        yield _chunk(spec, int(low), degrees[low:high], popularity, rng)


def _chunk(
    spec: SyntheticSpec, first: int, degrees: Ints, popularity: Floats, rng: np.random.Generator
) -> pa.RecordBatch:
    """Generate the ratings of users first, first + 1, ...: sorted by user, then item."""
    cells = _draw_items(degrees, popularity, rng)
    local, items = np.divmod(cells, spec.n_items)
    users = local + first + 1
    stars = true_rating(spec, users, items + 1) + spec.noise * rng.standard_normal(len(cells))
    stars = np.clip(np.round(stars * 2) / 2, 0.5, 5.0)
    # A user rates within some weeks, at any time of ten years; items have no release date.
    joined = rng.uniform(0, _DAYS - 90, len(degrees))
    days = joined[local] + rng.uniform(0, 90, len(cells))
    seconds = (_FIRST_DAY + days * 86_400).astype(np.int64)
    columns = {"user_id": users, "item_id": items + 1, "rating": stars, "timestamp": seconds}
    return pa.RecordBatch.from_pydict(columns)


def _ratings_per_user(spec: SyntheticSpec) -> Ints:
    """Share n_ratings out: a minimum each, the rest in proportion to log-normal weights.

    Nobody gets more than n_items; the sum is exact.
    """
    weights = np.exp(ACTIVITY_SIGMA * _stream(spec, _ACTIVITY).standard_normal(spec.n_users))
    if spec.n_ratings <= spec.n_users:
        degrees = np.zeros(spec.n_users, np.int64)
        degrees[np.argsort(-weights, kind="stable")[: spec.n_ratings]] = 1
        return degrees
    minimum = max(1, min(MIN_RATINGS, spec.n_ratings // (4 * spec.n_users)))
    rest, most = spec.n_ratings - minimum * spec.n_users, spec.n_items - minimum
    free = np.ones(spec.n_users, np.bool_)  # users below the most
    while True:
        scale = (rest - most * np.count_nonzero(~free)) / max(weights[free].sum(), 1e-300)
        full = free & (weights * scale >= most)
        if not full.any():
            break
        free &= ~full
    # Shaved by less than one rating in all, so that rounding errors never give out too many.
    exact = np.where(free, weights * scale * (1 - 1e-12), most)
    shares = np.floor(exact).astype(np.int64)
    left = rest - int(shares.sum())
    shares[np.argsort(shares - exact - free, kind="stable")[:left]] += 1
    return minimum + shares


def _popularity(spec: SyntheticSpec) -> Floats:
    """Return the chance of each item in a draw; popularity has nothing to do with ids."""
    ranks = _stream(spec, _POPULARITY).permutation(spec.n_items) + 1.0
    chances = (ranks + POPULARITY_SHIFT * spec.n_items) ** -POPULARITY_EXPONENT
    return chances / chances.sum()


def _draw_items(degrees: Ints, popularity: Floats, rng: np.random.Generator) -> Ints:
    """Draw each user's items by popularity without replacement; return sorted user x item cells.

    Both ways below give the same distribution: items drawn one after the other, repeats skipped.
    """
    dense = degrees * 8 > len(popularity)  # so many that most draws would be repeats
    drawn = [_draw_dense(np.flatnonzero(dense), degrees, popularity, rng)]
    wanted = np.where(dense, 0, degrees)
    cumulated = np.cumsum(popularity)
    taken = np.empty(0, np.int64)
    while wanted.any():
        tries = wanted + wanted // 4 + 2 * (wanted > 0)
        users = np.repeat(np.arange(len(degrees)), tries)
        points = rng.random(len(users)) * cumulated[-1]
        items = np.minimum(np.searchsorted(cumulated, points, side="right"), len(popularity) - 1)
        cells = users * len(popularity) + items
        new = np.zeros(len(cells), np.bool_)
        new[np.unique(cells, return_index=True)[1]] = True
        new &= ~_contains(taken, cells)
        # Of a user's new items the first ones drawn count, up to what is wanted.
        so_far = np.cumsum(new)
        before = np.concatenate([[0], so_far])[np.cumsum(tries) - tries]
        new &= so_far - before[users] <= wanted[users]
        taken = np.sort(np.concatenate([taken, cells[new]]), kind="stable")
        wanted = wanted - np.bincount(users[new], minlength=len(degrees))
    return np.sort(np.concatenate([*drawn, taken]))


def _contains(ordered: Ints, values: Ints) -> NDArray[np.bool_]:
    """Return which values are among ordered ones; many times faster here than np.isin."""
    if len(ordered) == 0:
        return np.zeros(len(values), np.bool_)
    places = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return ordered[places] == values


def _draw_dense(users: Ints, degrees: Ints, popularity: Floats, rng: np.random.Generator) -> Ints:
    """Draw for users who rate a good part of all items, by the Gumbel trick: O(n_items) a user."""
    cells: list[Ints] = [np.empty(0, np.int64)]
    step = max(1, 1_000_000 // len(popularity))
    for some in (users[i : i + step] for i in range(0, len(users), step)):
        keys = np.log(popularity) + rng.gumbel(size=(len(some), len(popularity)))
        order = np.argsort(-keys, axis=1)
        kept = np.arange(len(popularity)) < degrees[some, None]
        cells.append((some[:, None] * len(popularity) + order)[kept])
    return np.concatenate(cells)


def _write_csv(batches: Iterator[pa.RecordBatch], out: Path) -> list[Path]:
    path, hidden = out / "ratings.csv", out / ".ratings.csv.tmp"
    names = ["userId", "movieId", "rating", "timestamp"]
    first = next(batches).rename_columns(names)
    options = pa_csv.WriteOptions(quoting_style="none", quoting_header="none")
    with pa_csv.CSVWriter(str(hidden), first.schema, write_options=options) as writer:
        writer.write_batch(first)
        for batch in batches:
            writer.write_batch(batch.rename_columns(names))
    os.replace(hidden, path)
    return [path]


def _write_parquet(batches: Iterator[pa.RecordBatch], out: Path) -> list[Path]:
    target, hidden = out / "ratings", out / ".ratings.tmp"
    shutil.rmtree(hidden, ignore_errors=True)
    hidden.mkdir()
    writer, rows, names = None, 0, list[str]()
    for batch in batches:
        seconds = batch.column("timestamp").cast(pa.timestamp("s", "UTC"))
        timed = batch.set_column(3, "timestamp", seconds.cast(pa.timestamp("us", "UTC")))
        if writer is None or rows >= _FILE:
            if writer is not None:
                writer.close()
            names.append(f"part-{len(names):05d}.parquet")
            writer, rows = pq.ParquetWriter(hidden / names[-1], timed.schema), 0
        writer.write_batch(timed)
        rows += timed.num_rows
    if writer is not None:
        writer.close()
    _clear_parts(target)
    os.rename(hidden, target)
    return [target / name for name in names]


def _clear_parts(directory: Path) -> None:
    """Remove what an earlier call wrote, and nothing else."""
    if not directory.exists():
        return
    if strange := [p.name for p in directory.iterdir() if not p.match("part-*.parquet")]:
        raise ConfigError(
            f"{directory} holds other files than samples: {', '.join(sorted(strange)[:3])}",
            "choose another folder with --out DIR",
        )
    shutil.rmtree(directory)


def _write_items(spec: SyntheticSpec, path: Path) -> Path:
    rng = _stream(spec, _TITLES)
    years = rng.integers(1950, 2020, spec.n_items)
    first, second = rng.integers(0, len(_GENRES), (2, spec.n_items))
    genres = [
        _GENRES[a] if a == b else f"{_GENRES[a]}|{_GENRES[b]}"
        for a, b in zip(first, second, strict=True)
    ]
    ids = np.arange(1, spec.n_items + 1)
    titles = [f"Film {i} ({year})" for i, year in zip(ids, years, strict=True)]
    pa_csv.write_csv(pa.table({"movieId": ids, "title": titles, "genres": genres}), str(path))
    return path
