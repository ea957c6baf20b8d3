"""Ratings read from files of every kind, in one process and without Spark, against pyarrow.

    python -m benchmarks.readers                                    1 M ratings of each kind
    python -m benchmarks.readers --ratings 20000000 --kinds quoted latin-1

Ours look at a file twice (lines, quotes and encoding first, then the ratings) and check each value;
pyarrow only parses it, into text, with one thread. It cannot split at `::`. Each time is the median
of five, ours and pyarrow's in turn.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from benchmarks.trial import measured
from mfspark.config.config import IngestOptions
from mfspark.ingest.readers.plan import examine_here, plan_read

NAMES = ["user_id", "item_id", "rating", "timestamp"]
REPEATS = 5
_SPLIT = 64 << 20


@dataclass(frozen=True)
class Kind:
    """How ratings are written."""

    suffix: str
    ids: Literal["numbers", "ascii", "accents", "kanji"] = "numbers"
    delimiter: str = ","
    quote: str = ""
    encoding: str = "utf-8"


KINDS = {
    "csv": Kind(".csv"),
    "gzip": Kind(".csv.gz"),
    "tab": Kind(".tsv", delimiter="\t"),
    "double colon": Kind(".dat", delimiter="::"),
    "quoted": Kind(".csv", quote='"'),
    "ascii ids": Kind(".csv", "ascii"),
    "accents": Kind(".csv", "accents"),
    "accents, quoted": Kind(".csv", "accents", quote='"'),
    "latin-1": Kind(".csv", "accents", encoding="windows-1252"),
    "kanji": Kind(".csv", "kanji"),
    "parquet": Kind(".parquet"),
    "parquet, ascii ids": Kind(".parquet", "ascii"),
    "parquet, accents": Kind(".parquet", "accents"),
}
_PATTERNS = {
    "ascii": ("user{:06d}", "tt{:07d}"),
    "accents": ("usér{:06d}", "film é{}"),
    "kanji": ("利用者{}", "映画{}"),
}


def made_ratings(n: int) -> dict[str, list[Any]]:
    """Return n ratings by column, users and items in the proportions of MovieLens 20 M."""
    rng = np.random.default_rng(1)
    columns = (
        rng.integers(1, 138_000, n),
        rng.integers(1, 27_000, n),
        rng.integers(1, 11, n) / 2,
        rng.integers(800_000_000, 1_500_000_000, n),
    )
    return {name: column.tolist() for name, column in zip(NAMES, columns, strict=True)}


def write(kind: Kind, ratings: dict[str, list[Any]], folder: Path) -> Path:
    """Write ratings as a file of a kind."""
    path = folder / f"ratings{kind.suffix}"
    if kind.ids != "numbers":
        ids = zip(("user_id", "item_id"), _PATTERNS[kind.ids], strict=True)
        ratings = ratings | {name: list(map(form.format, ratings[name])) for name, form in ids}
    if kind.suffix == ".parquet":
        pq.write_table(pa.table(ratings), path)
        return path
    between = f"{kind.quote}{kind.delimiter}{kind.quote}"
    rows = zip(*ratings.values(), strict=True)
    opened = gzip.open if kind.suffix.endswith(".gz") else open
    with opened(path, "wt", encoding=kind.encoding, newline="\n") as file:
        for row in (NAMES, *rows):
            file.write(f"{kind.quote}{between.join(map(str, row))}{kind.quote}\n")
    return path


def by_mfspark(path: Path) -> int:
    """Return the number of ratings that are accepted."""
    plan = plan_read([str(path)], IngestOptions(), _SPLIT, examine_here)
    batches = (batch for split in plan.splits for batch in plan.sources[split.file].read(split))
    return sum(batch.column("reason").null_count for batch in batches)


def by_pyarrow(path: Path, kind: Kind) -> int:
    """Return the number of rows, all columns as text, or as they are in Parquet."""
    if kind.suffix == ".parquet":
        return pq.read_table(path, use_threads=False).num_rows
    return pacsv.read_csv(
        path,
        pacsv.ReadOptions(use_threads=False, encoding=kind.encoding),
        pacsv.ParseOptions(delimiter=kind.delimiter),
        pacsv.ConvertOptions(column_types=dict.fromkeys(NAMES, pa.string())),
    ).num_rows


def in_turn(readers: Sequence[Callable[[], int]], n: int) -> tuple[list[float], list[float]]:
    """Return of each reader the median seconds, after a first time, and the peak GiB."""
    seconds: list[list[float]] = [[] for _ in readers]
    gib = [0.0] * len(readers)
    for _ in range(REPEATS + 1):
        for i, read in enumerate(readers):
            found, took, peak = measured(read)
            if found != n:
                raise SystemExit(f"read {found:,} ratings of {n:,}")
            seconds[i].append(took)
            gib[i] = max(gib[i], peak)
    return [median(times[1:]) for times in seconds], gib


def main() -> None:
    """Measure the kinds asked for and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ratings", type=int, default=1_000_000)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    args = parser.parse_args()
    ratings = made_ratings(args.ratings)
    print(f"\n{args.ratings:,} ratings\n")
    print("| | M ratings/s | times pyarrow's seconds | peak GiB | pyarrow's |")
    print("|---|---:|---:|---:|---:|")
    for name in args.kinds:
        kind = KINDS[name]
        with tempfile.TemporaryDirectory(prefix="mfspark-bench-") as folder:
            path = write(kind, ratings, Path(folder))
            readers = [lambda path=path: by_mfspark(path)]
            if len(kind.delimiter) == 1:
                readers.append(lambda path=path, kind=kind: by_pyarrow(path, kind))
            seconds, gib = in_turn(readers, args.ratings)
        speed = args.ratings / seconds[0] / 1e6
        peer = (f"{seconds[0] / seconds[1]:.1f}", f"{gib[1]:.2f}") if seconds[1:] else ("", "")
        print(f"| {name} | {speed:.1f} | {peer[0]} | {gib[0]:.2f} | {peer[1]} |", flush=True)


if __name__ == "__main__":
    main()
