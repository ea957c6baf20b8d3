"""The validation folds of a night: its training part, cut again and into tiles.

fold first     what options are chosen on
fold second    what the choice is measured on: none of its held-out ratings was held out before
fold preview   the first, of some users alone: for short fits of models without iterations
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property, partial

from pyspark.sql import DataFrame

from mfspark.errors import InputError
from mfspark.evaluation.splits import of_some_users, validation_folds
from mfspark.grid.block_store import BlockStore
from mfspark.grid.cut import cut_frame
from mfspark.grid.layout import TileSet
from mfspark.kernels.arrays.tile import Numbers
from mfspark.models.records import Cut, cut_key
from mfspark.pipeline.dataset import Dataset

PREVIEW = 0.25
"""Share of the iterations, or of the users, of a short fit."""
_FEWEST_USERS = 4000  # of whom a quarter still tells options apart
_HASHED = 2**48  # a float holds such numbers exactly


@dataclass(frozen=True)
class Fold:
    """Training ratings, cut once more."""

    name: str
    fitted: TileSet
    """Tiles of the ratings that models are fitted on."""
    held_out: TileSet
    """Tiles of the ratings that they are measured on."""
    known: TileSet | None = None
    """Tiles of what else is known of users whom the fitted ratings hold nothing of."""


@dataclass(frozen=True)
class Folds:
    """The validation folds of a dataset; each is cut when first asked for."""

    dataset: Dataset

    @cached_property
    def first(self) -> Fold:
        """What options are chosen on."""
        return self._cut("first", *self._frames[0])

    @cached_property
    def second(self) -> Fold:
        """What the choice is measured on."""
        return self._cut("second", *self._frames[1])

    @cached_property
    def preview(self) -> Fold | None:
        """A share of the users of the first fold; None where they are too few."""
        if self.dataset.report.n_users < _FEWEST_USERS:
            return None
        seed = self.dataset.context.config.seed
        return self._cut("preview", *(of_some_users(f, PREVIEW, seed) for f in self._frames[0]))

    def digest(self) -> str:
        """Return a hash of what is fitted and measured on; one task a block."""
        context, tiles = self.dataset.context, (self.first.fitted, self.first.held_out)
        task = partial(_digest, context.store, tiles)
        n_blocks = self.dataset.layout.user_blocks
        found = context.runner.run(n_blocks, task, "digest")
        return hashlib.sha256(repr([each["digest"] for each in found]).encode()).hexdigest()

    @cached_property
    def _frames(self) -> list[tuple[DataFrame, DataFrame]]:
        config = self.dataset.context.config
        return validation_folds(self.dataset.ratings("train"), config.evaluation, config.seed)

    def _cut(self, name: str, fitted: DataFrame, held_out: DataFrame) -> Fold:
        return cut_fold(self.dataset, name, {"fitted": fitted, "held": held_out})


def cut_fold(dataset: Dataset, name: str, frames: dict[str, DataFrame]) -> Fold:
    """Cut the frames `fitted`, `held` and, where there is one, `known` into tiles, each once.

    Raises InputError where one of them has no ratings.
    """
    context = dataset.context

    def cut(part: str) -> TileSet:
        def now() -> Cut:
            place = f"tiles/{name}/{part}", context.store, context.runner
            timed = context.config.models.uses_times
            tiles = cut_frame(frames[part], dataset.layout, *place, timed=timed)
            if tiles.n_ratings == 0:
                raise InputError(
                    f"the ratings are too few to hold some out (part {name}, {part}: none)",
                    "give more ratings, or change evaluation.split, test_share or folds",
                )
            return Cut(tiles)

        return context.once(cut_key(f"{name}-{part}"), now).tiles

    return Fold(name, cut("fitted"), cut("held"), cut("known") if "known" in frames else None)


def _digest(store: BlockStore, sets: tuple[TileSet, ...], block: int) -> Numbers:
    found = hashlib.sha256()
    for tiles in sets:
        for q in range(tiles.layout.item_blocks):
            for _, array in sorted(store.get(tiles.strip("user", block), q).items()):
                found.update(array.tobytes())
    return {"digest": float(int(found.hexdigest(), 16) % _HASHED)}
