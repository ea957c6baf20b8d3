"""What every stage of a night works with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from mfspark.grid.block_store import ParquetStore
from mfspark.grid.grid import Grid, TileSet
from mfspark.grid.runners import OnSpark
from mfspark.kernels.arrays.rating_scale import RatingScale
from mfspark.pipeline.ingest import report_of
from mfspark.schemas import spark_schema
from mfspark.tables.writer import write_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from mfspark.config.config import Config
    from mfspark.ingest.intake import IngestReport
    from mfspark.schemas import IdTypes
    from mfspark.tables.night import Night

Part = Literal["train", "test", "all"]
"""Which ratings: what models are measured with (train, test) or what is published from (all)."""


@dataclass(frozen=True)
class Job:
    """A night and the Spark session it runs on."""

    spark: SparkSession
    night: Night

    @property
    def config(self) -> Config:
        """The night's configuration."""
        return self.night.config

    @cached_property
    def report(self) -> IngestReport:
        """What ingest found. Raises MfsparkError before ingest has finished."""
        return report_of(self.night)

    @property
    def ids(self) -> IdTypes:
        """How ids are stored in this night's tables."""
        return self.report.ids

    @property
    def scale(self) -> RatingScale:
        """The rating scale, with what the configuration says of published predictions."""
        options, report = self.config.publish, self.report
        return RatingScale.published(
            report.rating_scale, report.rating_step, options.clamp, options.round_to
        )

    @property
    def store(self) -> ParquetStore:
        """Where this night's blocks lie; driver and workers share it."""
        return ParquetStore(self.night.scratch("blocks"))

    @property
    def grid_runner(self) -> OnSpark:
        """Runs the tasks of motions on the executors."""
        return OnSpark(self.spark)

    def grid(self, tiles: TileSet) -> Grid:
        """Return a grid over some tiles with Spark running the tasks."""
        return Grid(tiles, self.store, self.grid_runner)

    def read(self, table: str) -> DataFrame:
        """Read a table of this night."""
        schema = spark_schema(table, self.ids)
        return self.spark.read.schema(schema).parquet(str(self.night.table_dir(table)))

    def write(self, frame: DataFrame, table: str) -> int:
        """Write a table of this night and return its rows."""
        return write_table(frame, self.night, table, self.ids)
