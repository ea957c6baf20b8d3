"""The ratings of a night in parts (train, test, all), each cut into tiles once."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

from mfspark.errors import InputError
from mfspark.evaluation import split_ratings
from mfspark.grid.cut import cut_frame
from mfspark.grid.grid import Layout, TileSet
from mfspark.ingest.readers.ratings import read_ratings
from mfspark.pipeline.ingest import InputFiles

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from mfspark.pipeline.context import Job, Part

_SMALL = 500_000  # ratings that are not worth cutting at all
_FEWEST = 4  # blocks of ratings that are cut: tasks for four cores
_PER_BLOCK = 1_250_000  # ratings a strip: 10 MB of tiles, some 50 MB while it is cut


def published_part(job: Job) -> Part:
    """Return which ratings the published models are fitted on."""
    evaluation = job.config.evaluation
    return "all" if evaluation.refit or evaluation.split == "none" else "train"


def ratings_of(job: Job, part: Part) -> DataFrame:
    """Return the ratings of a part with the columns of table `ratings`."""
    ratings = job.read("ratings")
    if part == "all":
        return ratings
    options = job.config.evaluation
    given = _given_test(job, ratings) if options.split == "given" else None
    train, test = split_ratings(ratings, options, job.config.seed, given)
    return train if part == "train" else test


def tiles_of(job: Job, part: Part) -> TileSet:
    """Return the tiles of a part; they are cut when first asked for.

    Raises InputError where the split leaves nothing to train on.
    """
    stage = f"cut-{part}"
    if not job.night.finished(stage):
        frame, models = ratings_of(job, part), job.config.models
        place = f"tiles/{part}", job.store, job.grid_runner
        timed = "bayesian_mf" in models.run and models.bayesian_mf.uses_times
        tiles = cut_frame(frame, layout_of(job), *place, timed=timed)
        if part != "test" and tiles.n_ratings == 0:
            raise InputError(
                f"the split '{job.config.evaluation.split}' leaves no rating to train on",
                "choose another evaluation.split or a smaller evaluation.test_share",
            )
        job.night.finish(stage, {"tiles": asdict(tiles)})
    return TileSet.from_record(job.night.facts(stage)["tiles"])


def layout_of(job: Job) -> Layout:
    """Choose the number of blocks: as configured, or by the numbers of ratings, users and items.

    It never depends on the machine, so that every machine gets the same bits.
    """
    report, blocks = job.report, job.config.grid.blocks
    if blocks:
        return Layout(report.n_users, report.n_items, blocks, blocks)
    return layout_for(report.n_users, report.n_items, report.n_accepted)


def layout_for(n_users: int, n_items: int, n_ratings: int) -> Layout:
    """Return into how many blocks ratings are cut where nothing else is said.

    The larger side by the number of ratings; the smaller in fewer blocks, as each of them makes
    every row of the other side be read once more (docs/grid.md).
    """
    if n_ratings <= _SMALL:
        return Layout(n_users, n_items, 1, 1)
    blocks = max(_FEWEST, -(-n_ratings // _PER_BLOCK))
    users, items = (
        max(_FEWEST, math.ceil(blocks * min(1.0, n / across) ** 0.5))
        for n, across in ((n_users, n_items), (n_items, n_users))
    )
    return Layout(n_users, n_items, users, items)


def _given_test(job: Job, ratings: DataFrame) -> DataFrame:
    """Return the ratings whose pair stands in the files of `--test`."""
    files = InputFiles.of(job.config).test
    read = read_ratings(job.spark, files, job.config.ingest)
    types = {field.name: field.dataType for field in ratings.schema.fields}
    pairs = read.filter("reason is null").select(
        *(read[name].cast(types[name]) for name in ("user_id", "item_id"))
    )
    return ratings.join(pairs.distinct(), ["user_id", "item_id"], "left_semi").select(
        *ratings.columns
    )
