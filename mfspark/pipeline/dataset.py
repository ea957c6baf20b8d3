"""The ratings of a night in subsets (train, test, all), each cut into tiles once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from mfspark.errors import InputError
from mfspark.evaluation.relevance import choices_from, relevant_from
from mfspark.evaluation.splits import PAIR, with_is_test
from mfspark.grid.cut import cut_together
from mfspark.grid.layout import GridLayout, TileSet
from mfspark.grid.packed_rows import RowsOfTasks
from mfspark.grid.runners import BlockReader, ReadEach
from mfspark.grid.strips import Selection
from mfspark.grid.table_rows import ratings_of_tasks
from mfspark.ingest.readers.ratings import accepted, read_ratings
from mfspark.ingest.report import IngestReport
from mfspark.kernels.arrays.rating_scale import RatingScale
from mfspark.models.records import Cut, Subset, cut_key
from mfspark.pipeline.context import FEW_RATINGS, RunContext
from mfspark.schemas import Side, spark_schema, table_schema
from mfspark.tables.nearby import brought_nearby
from mfspark.tables.task_files import read_files
from mfspark.tables.writer import write_arrow, write_list, write_table

_FEWEST = 4  # blocks of ratings that are cut: tasks for four cores
_PER_BLOCK = 1_250_000  # ratings a strip: 10 MB of tiles, some 50 MB while it is cut
_SELECTIONS: dict[Subset, Selection] = {
    "train": Selection("tiles/train", is_test=False),
    "test": Selection("tiles/test", is_test=True, exact=True),  # metrics are of what was given
    "all": Selection("tiles/all"),
}


@dataclass(frozen=True)
class Dataset:
    """What ingest brought in: the tables of the night, its ratings, and their tiles."""

    context: RunContext
    report: IngestReport
    test_files: tuple[str, ...]
    """Files whose pairs are the test part, for `evaluation.split = "given"`."""

    @cached_property
    def layout(self) -> GridLayout:
        """How ratings are cut: as configured, or by the numbers of ratings, users and items.

        It never depends on the machine, so that every machine gets the same bits.
        """
        report, blocks = self.report, self.context.config.grid.blocks
        if blocks:
            return GridLayout(report.n_users, report.n_items, blocks, blocks)
        return layout_for(report.n_users, report.n_items, report.n_accepted)

    @property
    def published(self) -> Subset:
        """Which ratings the published models are fitted on."""
        evaluation = self.context.config.evaluation
        return "all" if evaluation.refit or evaluation.split == "none" else "train"

    @property
    def scale(self) -> RatingScale:
        """The rating scale, with what the configuration says of published predictions."""
        options, report = self.context.config.publish, self.report
        return RatingScale.published(
            report.rating_scale, report.rating_step, options.clamp, options.round_to
        )

    @property
    def relevant_from(self) -> float:
        """Test ratings from here on are relevant."""
        return relevant_from(self.context.config.evaluation, self.report.rating_scale)

    @property
    def choices_from(self) -> float | None:
        """Training ratings from here on are choices; None: all of them. Raises ConfigError."""
        config = self.context.config
        return choices_from(config.feedback, config.evaluation, self.report.rating_scale)

    def read(self, table: str) -> DataFrame:
        """Read a table of this night."""
        schema = spark_schema(table, self.report.ids)
        return read_files(self.context.spark, self.context.night.files(table), schema)

    def ids(self, side: Side, index: str = "", name: str = "") -> DataFrame:
        """Return index and id of all users or items, as columns of these names, if given."""
        columns = {f"{side}_idx": index, f"{side}_id": name}
        return self.read(f"{side}s").selectExpr(*(f"{c} as {to or c}" for c, to in columns.items()))

    def columns(self, table: str, *names: str) -> pa.Table:
        """Read some columns of a table of this night into the driver's memory; no job."""
        return self.context.night.files(table).dataset().to_table(columns=list(names))

    def write(self, frame: DataFrame, table: str) -> int:
        """Write a table of this night and return its rows."""
        return write_table(frame, self.context.night, table, self.report.ids)

    def write_blocks(self, readers: Sequence[BlockReader], n_blocks: int, table: str) -> int:
        """Write what tasks read of the blocks of several things, such as models; return its rows.

        Each reader gives the rows of a block with the columns of the table.
        """
        each, schema = ReadEach(readers, n_blocks), table_schema(table, self.report.ids)
        if self.context.small:
            rows = pa.Table.from_batches(map(each, range(each.n_tasks)), schema)
            return write_arrow(rows, self.context.night, table, self.report.ids)
        numbers = each.numbers(self.context.spark)
        return write_table(numbers, self.context.night, table, self.report.ids, each.rows)

    def write_list(self, rows: Sequence[Sequence[Any]], table: str) -> int:
        """Write a table of a handful of rows and return how many."""
        return write_list(rows, self.context.night, table, self.report.ids)

    def ratings(self, subset: Subset) -> DataFrame:
        """Return the ratings of a subset with the columns of table `ratings`."""
        if subset == "all":
            return self.read("ratings")
        labelled = self._labelled()
        return labelled.filter("is_test" if subset == "test" else "not is_test").drop("is_test")

    def tiles(self, subset: Subset) -> TileSet:
        """Return the tiles of a subset; they are cut when first asked for.

        Train and test are cut together, with all ratings where those are needed too and are no
        others than these. Raises InputError where the split leaves nothing to train on.
        """
        return self.context.once(cut_key(subset), lambda: Cut(self._cut(subset))).tiles

    def _cut(self, subset: Subset) -> TileSet:
        night, together = self.context.night, self._cut_with(subset)
        cut = cut_together(
            self._rows_to_cut(together),
            self.layout,
            [_SELECTIONS[each] for each in together],
            self.context.store,
            self.context.runner,
            timed=self.context.config.models.uses_times,
        )
        found = dict(zip(together, cut, strict=True))
        usable = {each: tiles for each, tiles in found.items() if tiles.n_ratings or each == "test"}
        if subset not in usable:
            raise InputError(
                f"the split '{self.context.config.evaluation.split}' leaves no rating to train on",
                "choose another evaluation.split or a smaller evaluation.test_share",
            )
        for other, tiles in usable.items():
            if other != subset and not night.finished(cut_key(other)):
                night.finish(cut_key(other), Cut(tiles))
        return found[subset]

    def _cut_with(self, subset: Subset) -> list[Subset]:
        """Return the subsets that are cut in one pass with this one, itself included.

        With the split `given`, test ratings are as their files have them, and those of table
        `ratings` may be others.
        """
        split = self.context.config.evaluation.split
        if split in ("random", "temporal", "leave_last") and self.published == "all":
            return ["train", "test", "all"]
        return ["all"] if subset == "all" else ["train", "test"]

    def _rows_to_cut(self, subsets: list[Subset]) -> DataFrame | RowsOfTasks:
        """Return the ratings of some subsets, read by the tasks themselves where they can label."""
        context, options = self.context, self.context.config.evaluation
        labelled = subsets != ["all"]
        if labelled and options.split != "random":
            return self._labelled()
        return ratings_of_tasks(
            None if context.small else context.spark,
            brought_nearby(context.night.files("ratings"), here=context.session.here),
            timed=context.config.models.uses_times,
            seed=context.config.seed if labelled else None,
            test_share=options.test_share,
        )

    def _labelled(self) -> DataFrame:
        """Return the ratings of train and test with a column `is_test`."""
        ratings, config = self.read("ratings"), self.context.config
        given = self._given_test(ratings) if config.evaluation.split == "given" else None
        return with_is_test(ratings, config.evaluation, config.seed, given)

    def _given_test(self, ratings: DataFrame) -> DataFrame:
        """Return the pairs that stand in the test files, with the ratings that those give them.

        A pair may stand in the training files too, and the night's ratings have the newer of both.
        Of several in the test files the newest counts, as in `ingest.duplicates`.
        """
        context = self.context
        read = read_ratings(context.spark, self.test_files, context.config.ingest)
        types = {field.name: field.dataType for field in ratings.schema.fields}
        of_test = accepted(read, context.night.run_date).select(
            *(F.col(name).cast(types[name]) for name in PAIR),
            F.struct("rated_at", "file", "line", "cell", "rating").alias("given"),
        )
        newest = of_test.groupBy(*PAIR).agg(F.max("given").alias("given"))
        known = ratings.drop("rating", "rated_at").join(newest, PAIR)
        return known.select("given.rating", "given.rated_at", "*").select(*ratings.columns)


def layout_for(n_users: int, n_items: int, n_ratings: int) -> GridLayout:
    """Return into how many blocks ratings are cut where nothing else is said.

    The larger side by the number of ratings; the smaller in fewer blocks, as each of them makes
    every row of the other side be read once more (docs/grid.md).
    """
    if n_ratings <= FEW_RATINGS:
        return GridLayout(n_users, n_items, 1, 1)
    blocks = max(_FEWEST, -(-n_ratings // _PER_BLOCK))
    users, items = (
        max(_FEWEST, math.ceil(blocks * min(1.0, n / across) ** 0.5))
        for n, across in ((n_users, n_items), (n_items, n_users))
    )
    return GridLayout(n_users, n_items, users, items)
