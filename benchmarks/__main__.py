"""Seconds and peak memory of each stage of a night on synthetic ratings.

    python -m benchmarks                       1 M and 5 M ratings
    python -m benchmarks --ratings 20000000    another size
    python -m benchmarks --set models.run='["als"]'

Each size runs the whole nightly in one process, as `mfspark run` does, and prints one table.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.memory import PeakMemory
from benchmarks.trial import shape_of
from mfspark.pipeline.request import Request, execute
from mfspark.samples.synthetic import write_synthetic


@dataclass
class MeasuredProgress:
    """Notes seconds and peak memory of every step."""

    steps: list[tuple[str, float, float]] = field(default_factory=list)

    def of_run(self, run_id: str) -> None:
        """Pass over it."""

    def begin(self, n_steps: int) -> None:  # noqa: ARG002
        """Start a new night."""
        self.steps.clear()

    def expect(self, n_steps: int) -> None:
        """Pass over it."""

    @contextmanager
    def step(self, label: str) -> Generator[None]:
        """Measure one step."""
        began = time.perf_counter()
        with PeakMemory() as peak:
            yield
        self.steps.append((label, time.perf_counter() - began, peak.gib))
        print(f"{label}: {self.steps[-1][1]:.1f} s", file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        """Print it."""
        print(f"note: {text}", file=sys.stderr, flush=True)


def measure(n_ratings: int, overrides: tuple[str, ...]) -> list[tuple[str, float, float]]:
    """Run one night on synthetic ratings and return (step, seconds, GiB)."""
    progress = MeasuredProgress()
    with tempfile.TemporaryDirectory(prefix="mfspark-bench-") as folder:
        files = write_synthetic(shape_of(n_ratings), Path(folder, "data"), "parquet")
        request = Request(
            "run",
            ratings=tuple(str(f) for f in files if f.suffix == ".parquet"),
            items=tuple(str(f) for f in files if f.suffix == ".csv"),
            warehouse=str(Path(folder, "warehouse")),
            run_date="2026-11-22",
            overrides=overrides,
        )
        execute(request, progress)
    return progress.steps


def main() -> None:
    """Measure the sizes asked for and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ratings", type=int, nargs="+", default=[1_000_000, 5_000_000])
    parser.add_argument("--set", action="append", default=[], help="section.key=value")
    args = parser.parse_args()
    for n_ratings in args.ratings:
        spec = shape_of(n_ratings)
        print(f"\n{n_ratings:,} ratings, {spec.n_users:,} users x {spec.n_items:,} items\n")
        steps = measure(n_ratings, tuple(args.set))
        print("| stage | seconds | peak GiB |\n|---|---:|---:|")
        for label, seconds, gib in steps:
            print(f"| {label} | {seconds:.1f} | {gib:.2f} |")
        total, peak = sum(s for _, s, _ in steps), max(g for _, _, g in steps)
        print(f"| **all** | **{total:.1f}** | **{peak:.2f}** |", flush=True)


if __name__ == "__main__":
    main()
