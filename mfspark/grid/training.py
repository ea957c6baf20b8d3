"""The training loop: one place that iterates, records the loss, checkpoints and resumes.

An algorithm writes one iteration; the loop owns the rest. After an iteration the blocks are made
durable and `state.json` is replaced, unless that was done a moment ago, so a killed night goes on
from what was recorded last and ends with the same bits.

Ratings that fit one machine easily are trained on inside one Spark task: no Spark round an
iteration, and all cores, which share out the blocks. The same trainer code runs as on the Spark
grid: only the store (memory, with Parquet behind it) and the runner differ.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from mfspark.errors import MfsparkError
from mfspark.grid.block_store import BlockStore, MemoryStore
from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks, TileSet
from mfspark.grid.runners import InProcess, Runner
from mfspark.kernels.arrays.device import one_thread_a_kernel
from mfspark.kernels.arrays.tile import Numbers
from mfspark.schemas import SIDES
from mfspark.storage.protocol import Storage
from mfspark.system.cores import cores_of_this_task


@dataclass(frozen=True)
class Loss:
    """The root mean squared error after an iteration, on the ratings of one split."""

    iteration: int
    split: str
    value: float
    seconds: float = 0.0


@dataclass(frozen=True)
class State:
    """A model in training: both sides' factor blocks and the losses so far."""

    iteration: int
    user: Blocks
    item: Blocks
    history: tuple[Loss, ...] = ()
    kept: dict[str, tuple[Blocks, ...]] = field(default_factory=dict)
    """Whatever else the algorithm needs later, by name, such as priors and earlier samples."""

    def losses(self, split: str) -> list[float]:
        """Return the losses of one split in order."""
        return [loss.value for loss in self.history if loss.split == split]

    def stalled(self, tol: float) -> bool:
        """Say whether the last iteration changed the training loss by no more than a share of it.

        A share of 0 means never.
        """
        losses = self.losses("train")
        if tol == 0 or len(losses) < 2:
            return False
        return abs(losses[-1] - losses[-2]) <= tol * losses[-2]

    @property
    def blocks(self) -> tuple[Blocks, ...]:
        """All blocks that the state needs."""
        return (self.user, self.item, *(b for kept in self.kept.values() for b in kept))

    @property
    def references(self) -> set[str]:
        """Their references."""
        return {reference for blocks in self.blocks for reference in blocks.references}


class Algorithm(Protocol):
    """One way to fit a factor model."""

    def start(self, grid: Grid, name: str) -> State:
        """Return the state before the first iteration."""
        ...

    def step(self, grid: Grid, state: State, name: str) -> State:
        """Return the state after one more iteration; blocks are kept under `name`."""
        ...

    def finished(self, state: State, /) -> bool:
        """Say whether training ends here."""
        ...


RECORD_EVERY = 2.0
"""Seconds: a killed night loses no more, or the one iteration that it was in."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a training's state is recorded. `fingerprint` names what is trained, on what."""

    storage: Storage
    key: str
    fingerprint: str
    every_seconds: float = 0.0
    """Iterations that end sooner after the last record are not recorded, but for the final one."""

    def read(self) -> State | None:
        """Return the last recorded state; None where there is none of this very training."""
        content = self.storage.read(self.key)
        if content is None:
            return None
        record = json.loads(content)
        return _state(record["state"]) if record["fingerprint"] == self.fingerprint else None

    def write(self, state: State) -> None:
        """Replace the recorded state, atomically and durably."""
        record = {"fingerprint": self.fingerprint, "state": asdict(state)}
        self.storage.put(self.key, json.dumps(record).encode())


def train(
    grid: Grid, algorithm: Algorithm, name: str, checkpoint: Checkpoint | None = None
) -> State:
    """Run an algorithm to its end, or on from its last checkpoint; without one nothing is recorded.

    The blocks of earlier iterations are discarded, apart from those that the checkpoint names.
    """
    state = checkpoint.read() if checkpoint else None
    saved, recorded = state.references if state else set[str](), state is not None
    every = checkpoint.every_seconds if checkpoint else math.inf
    due = time.monotonic() + every
    if state is None:
        state = algorithm.start(grid, f"{name}/0000")
    while not algorithm.finished(state):
        began = time.perf_counter()
        iteration = state.iteration + 1
        after = algorithm.step(grid, state, f"{name}/{iteration:04d}")
        seconds = time.perf_counter() - began
        new = [replace(loss, seconds=seconds) for loss in after.history[len(state.history) :]]
        after = replace(after, history=(*state.history, *new))
        _check_finite(after, name)
        stale = state.references - after.references
        if checkpoint and (time.monotonic() >= due or algorithm.finished(after)):
            grid.store.save(sorted(after.references - saved))
            checkpoint.write(after)
            stale |= saved - after.references
            saved, due, recorded = after.references, time.monotonic() + every, True
        grid.store.discard(stale - saved)
        state = after
    if checkpoint and not recorded:  # an algorithm without any iteration
        grid.store.save(sorted(state.references))
        checkpoint.write(state)
    return state


def _check_finite(state: State, name: str) -> None:
    """Stop at the first loss that is no number: nothing after it would be one."""
    for loss in state.history:
        if not math.isfinite(loss.value):
            raise MfsparkError(
                f"training {name} diverged: the {loss.split} loss of iteration {loss.iteration} "
                f"is {loss.value}",
                "use a smaller learning_rate or batch_size, or a larger reg",
            )


def _state(record: dict[str, Any]) -> State:
    history = tuple(Loss(**loss) for loss in record["history"])
    user, item = (Blocks.from_record(record[side]) for side in SIDES)
    kept = {name: tuple(map(Blocks.from_record, blocks)) for name, blocks in record["kept"].items()}
    return State(record["iteration"], user, item, history, kept)


def train_in_one_task(
    runner: Runner,
    master: str,
    tiles: TileSet,
    store: BlockStore,
    algorithm: Algorithm,
    name: str,
    checkpoint: Checkpoint,
) -> State:
    """Train in a single task; blocks and checkpoints land in the shared store.

    master: of the Spark session, which tells the cores of the task.
    """

    def task(_: int) -> Numbers:
        one_thread_a_kernel()
        threads = cores_of_this_task(master)  # all are idle but for this task
        grid = Grid(tiles, MemoryStore(behind=store), InProcess(threads))
        train(grid, algorithm, name, checkpoint)
        return {}

    runner.run(1, task, f"train {name}")
    state = checkpoint.read()
    assert state is not None, "the task wrote its last state before it ended"
    return state


def ratings_of_one_task(master: str) -> int:
    """Return up to how many ratings a single task is the fastest way to train.

    On one machine it has all cores and reads nothing twice: what limits it is the memory of one
    Python worker, 16 bytes a rating. On a cluster the other machines would stand idle.
    """
    return 50_000_000 if master.split("[")[0] == "local" else 5_000_000
