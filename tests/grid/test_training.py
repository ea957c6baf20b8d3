from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from mfspark.config.models import (
    ALSOptions,
    BayesianMFOptions,
    IALSOptions,
    NMFOptions,
    Penalty,
    TorchMFOptions,
)
from mfspark.errors import MfsparkError
from mfspark.grid.block_store import BlockStore, MemoryStore, ParquetStore
from mfspark.grid.grid import Grid
from mfspark.grid.runners import InProcess
from mfspark.grid.training import Algorithm, Checkpoint, Loss, State, train
from mfspark.models.bayesian.bayesian_mf import BayesianMF
from mfspark.models.factorization import als as als_model
from mfspark.models.factorization import ials as ials_model
from mfspark.models.factorization import nmf as nmf_model
from mfspark.models.factorization.alternating import Alternating
from mfspark.models.factorization.subspace import Matrix, Randomized
from mfspark.models.factorization.torch_mf import TorchMF
from mfspark.storage.posix import PosixStorage
from tests.support.grids import at_times, bits, cut, stars

RATINGS = at_times(stars(1, 23, 15, 0.4), 1, 9)
SEED, LAST = 42, 5
OPTIONS = ALSOptions(rank=3, max_iter=LAST, tol=0)
PENALTY = Penalty(0.1, 15)


class KilledError(Exception):
    """The night ends here."""


@dataclass(frozen=True)
class Dies:
    """An algorithm that dies in the middle of an iteration: its blocks are half written."""

    algorithm: Algorithm
    at: int

    def start(self, grid: Grid, name: str) -> State:
        return self.algorithm.start(grid, name)

    def step(self, grid: Grid, state: State, name: str) -> State:
        after = self.algorithm.step(grid, state, name)
        if after.iteration == self.at:
            raise KilledError
        return after

    def finished(self, state: State) -> bool:
        return self.algorithm.finished(state)


def als(seed: int = SEED) -> Algorithm:
    return als_model.algorithm(OPTIONS, PENALTY, 3.2, seed)


def ials(seed: int = SEED) -> Algorithm:
    return ials_model.algorithm(IALSOptions(rank=3, max_iter=LAST, tol=0), seed)


def gibbs(seed: int = SEED) -> Algorithm:
    options = BayesianMFOptions(
        rank=3, burn_in=1, samples=LAST - 1, keep=2, pattern_features=4, item_time_bins=(2,)
    )
    return BayesianMF(options, 3.2, 1.1, seed)


def hals(seed: int = SEED) -> Algorithm:
    tiles = cut(RATINGS, 1, 1, "numbers", MemoryStore())
    return nmf_model.algorithm(NMFOptions(rank=3, max_iter=LAST, tol=0), tiles, seed)


def subspace(seed: int = SEED) -> Algorithm:
    return Randomized(Matrix(), "item", 3, 100.0, seed, max_iter=LAST, tol=0)


def adam(seed: int = SEED) -> Algorithm:
    options = TorchMFOptions(rank=3, epochs=LAST, optimizer="adam", batch_size=16)
    return TorchMF(options, PENALTY, 3.2, seed)


ALGORITHMS = pytest.mark.parametrize(
    "algorithm",
    [als, ials, gibbs, adam, hals, subspace],
    ids=["als", "ials", "gibbs", "adam", "hals", "subspace"],
)


@dataclass(frozen=True)
class Site:
    """A directory that outlives processes; each `grid()` is what a new process would open."""

    root: Path
    in_memory: bool

    @property
    def storage(self) -> PosixStorage:
        return PosixStorage(str(self.root))

    @property
    def durable(self) -> BlockStore:
        return ParquetStore(self.storage, "blocks")

    def grid(self) -> Grid:
        tiles = cut(RATINGS, 3, 2, "tiles", self.durable)
        store = MemoryStore(behind=self.durable) if self.in_memory else self.durable
        return Grid(tiles, store, InProcess())

    def train(self, algorithm: Algorithm, fingerprint: str = "one") -> State:
        return train(self.grid(), algorithm, "fit", self.checkpoint(fingerprint))

    def checkpoint(self, fingerprint: str = "one") -> Checkpoint:
        return Checkpoint(self.storage, "state.json", fingerprint)

    def files(self) -> set[str]:
        blocks = self.root / "blocks"
        found = {str(p.relative_to(blocks)) for p in blocks.rglob("*") if p.is_file()}
        return {name for name in found if not name.startswith("tiles")}

    def ends(self, state: State) -> object:
        """Everything that training leaves behind, but for the seconds it took."""
        losses = [(loss.iteration, loss.split, loss.value) for loss in state.history]
        return state.references, losses, bits(self.durable, *state.blocks)


@pytest.fixture(params=["memory", "parquet"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Site]:
    return lambda name: Site(tmp_path / name, request.param == "memory")


@ALGORITHMS
@pytest.mark.parametrize("at", [1, 2, LAST])
def test_a_killed_run_goes_on_and_ends_with_the_same_bits(
    site: Callable[[str], Site], algorithm: Callable[[], Algorithm], at: int
) -> None:
    undisturbed, killed = site("undisturbed"), site("killed")
    expected = undisturbed.train(algorithm())
    with pytest.raises(KilledError):
        killed.train(Dies(algorithm(), at))
    recorded = killed.checkpoint().read()
    assert (recorded.iteration if recorded else 0) == at - 1
    resumed = killed.train(algorithm())
    assert killed.ends(resumed) == undisturbed.ends(expected)
    assert [loss.iteration for loss in resumed.history] == list(range(1, LAST + 1))


@ALGORITHMS
def test_what_was_not_recorded_is_done_again(
    site: Callable[[str], Site], algorithm: Callable[[], Algorithm]
) -> None:
    """A record an hour: the killed run leaves none, and nothing it left disturbs the next."""
    undisturbed, killed = site("undisturbed"), site("killed")
    expected = undisturbed.train(algorithm())
    rarely = replace(killed.checkpoint(), every_seconds=3600.0)
    with pytest.raises(KilledError):
        train(killed.grid(), Dies(algorithm(), 4), "fit", rarely)
    assert killed.checkpoint().read() is None
    resumed = train(killed.grid(), algorithm(), "fit", rarely)
    assert killed.ends(resumed) == undisturbed.ends(expected)
    assert killed.files() == {f"{reference}.parquet" for reference in resumed.references}


@ALGORITHMS
@pytest.mark.parametrize("recorded", [1, 2, 3])
def test_records_are_left_alone_until_the_next(
    tmp_path: Path, algorithm: Callable[[], Algorithm], recorded: int
) -> None:
    """Recorded once, then killed later: what the record names is still there."""
    undisturbed, killed = (Site(tmp_path / name, True) for name in ("undisturbed", "killed"))
    expected = undisturbed.train(algorithm())
    with pytest.raises(KilledError):
        killed.train(Dies(algorithm(), recorded + 1))
    rarely = replace(killed.checkpoint(), every_seconds=3600.0)
    with pytest.raises(KilledError):
        train(killed.grid(), Dies(algorithm(), LAST), "fit", rarely)
    state = killed.checkpoint().read()
    assert state is not None
    assert state.iteration == recorded
    assert killed.ends(killed.train(algorithm())) == undisturbed.ends(expected)


@ALGORITHMS
def test_what_a_record_names_is_on_disk_before_the_record(
    site: Callable[[str], Site], algorithm: Callable[[], Algorithm], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power failure may follow at once: every block, and the record itself, was synced."""
    here, synced, records = site("synced"), set[str](), list[str]()

    def note(path: Path) -> None:
        if path.suffix == ".parquet":
            synced.add(path.name)

    def check(storage: PosixStorage, key: str, content: bytes) -> None:
        state = json.loads(content)["state"]
        kept = [blocks for named in state["kept"].values() for blocks in named]
        sides = (state["user"], state["item"], *kept)
        blocks = {reference for blocks in sides for reference in blocks["references"]}
        assert {f"{block.rpartition('/')[2]}.parquet" for block in blocks} <= synced
        records.append(key)
        put(storage, key, content)

    put = PosixStorage.put
    monkeypatch.setattr("mfspark.storage.posix.sync", note)
    monkeypatch.setattr(PosixStorage, "put", check)
    here.train(algorithm())
    assert records == ["state.json"] * LAST


@ALGORITHMS
def test_both_stores_end_with_the_same_bits(
    tmp_path: Path, algorithm: Callable[[], Algorithm]
) -> None:
    sites = [Site(tmp_path / str(in_memory), in_memory) for in_memory in (True, False)]
    assert sites[0].ends(sites[0].train(algorithm())) == sites[1].ends(sites[1].train(algorithm()))


@ALGORITHMS
def test_any_number_of_threads_ends_with_the_same_bits(
    tmp_path: Path, algorithm: Callable[[], Algorithm]
) -> None:
    ends = []
    for threads in (1, 2, 5):
        site = Site(tmp_path / str(threads), in_memory=True)
        grid = replace(site.grid(), runner=InProcess(threads))
        ends.append(site.ends(train(grid, algorithm(), "fit", site.checkpoint())))
    assert ends[0] == ends[1] == ends[2]


@ALGORITHMS
def test_only_the_last_blocks_remain(
    site: Callable[[str], Site], algorithm: Callable[[], Algorithm]
) -> None:
    here = site("here")
    with pytest.raises(KilledError):
        here.train(Dies(algorithm(), 3))
    state = here.train(algorithm())
    assert here.files() == {f"{reference}.parquet" for reference in state.references}
    assert not list(here.root.glob("*.tmp"))


def test_a_finished_training_is_not_run_again(site: Callable[[str], Site]) -> None:
    here = site("here")
    state = here.train(als())
    assert here.train(Dies(als(), 1)) == state


@ALGORITHMS
def test_another_fingerprint_starts_afresh(
    site: Callable[[str], Site], algorithm: Callable[..., Algorithm]
) -> None:
    here, there = site("here"), site("there")
    with pytest.raises(KilledError):
        here.train(Dies(algorithm(7), 3), "other options")
    assert here.checkpoint("one").read() is None
    assert here.ends(here.train(algorithm())) == there.ends(there.train(algorithm()))
    assert here.checkpoint("other options").read() is None


def test_no_iterations_leave_the_start(site: Callable[[str], Site]) -> None:
    class Nothing(Alternating):
        def finished(self, _state: State) -> bool:
            return True

    here = site("here")
    half = als_model.ALSHalfStep(partial(als_model.solver_of, OPTIONS), 3.2, biases=True)
    state = here.train(Nothing.of(half, OPTIONS, SEED, None))
    assert state.iteration == 0
    assert here.files() == {f"{reference}.parquet" for reference in state.references}
    assert here.checkpoint().read() == state


def test_a_loss_that_is_no_number_stops_the_training(site: Callable[[str], Site]) -> None:
    """And the last good state is what a mended configuration would not go on from."""
    wild = TorchMF(TorchMFOptions(rank=3, learning_rate=1e6, epochs=9), PENALTY, 3.2, SEED)
    with pytest.raises(MfsparkError, match="learning_rate"):
        site("here").train(wild)


@pytest.mark.parametrize(
    ("losses", "tol", "stalled"),
    [
        ([1.0], 0.5, False),
        ([1.0, 0.9], 0.11, True),
        ([1.0, 0.9], 0.09, False),
        ([1.0, 1.05], 0.06, True),  # it rose: no better is no better
        ([1.0, 1.0], 0.0, False),
        ([0.0, 0.0], 1e-4, True),
    ],
)
def test_training_stalls_when_the_loss_changes_by_no_more_than_a_share(
    tmp_path: Path, losses: list[float], tol: float, stalled: bool
) -> None:
    start = als().start(Site(tmp_path, in_memory=False).grid(), "start")
    history = tuple(Loss(i, "train", value) for i, value in enumerate(losses, 1))
    assert replace(start, history=history).stalled(tol) is stalled


def test_losses_round_trip_exactly(tmp_path: Path) -> None:
    losses = (Loss(1, "train", 0.1 + 0.2, 1e-9), Loss(1, "validation", 1 / 3))
    site = Site(tmp_path, in_memory=False)
    start = als().start(site.grid(), "fit/0000")
    state = State(1, start.user, start.item, losses)
    site.checkpoint().write(state)
    assert site.checkpoint().read() == state


@pytest.mark.parametrize(
    ("losses", "finished"),
    [
        ([1.0, 0.9, 0.8], False),
        ([1.0, 0.9, 0.91, 0.92], False),
        ([1.0, 0.9, 0.91, 0.92, 0.93], True),
        ([1.0, 0.9, 0.9, 0.9, 0.9], True),
        ([1.0, 0.9, 0.91, 0.92, 0.89], False),
    ],
)
def test_early_stopping(tmp_path: Path, losses: list[float], finished: bool) -> None:
    """Patience 3: three epochs that are no better than the best before them."""
    grid = Site(tmp_path, in_memory=False).grid()
    algorithm = TorchMF(TorchMFOptions(epochs=99, patience=3), PENALTY, 3.2, SEED)
    state = algorithm.start(grid, "start")
    history = tuple(Loss(i, "validation", value) for i, value in enumerate(losses, 1))
    assert algorithm.finished(State(len(losses), state.user, state.item, history)) is finished
