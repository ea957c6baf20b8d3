"""Puts what side files say beside the users and items of a night."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from mfspark.errors import InputError
from mfspark.ingest.ids import SPARK_TYPE
from mfspark.ingest.readers.files import display_names
from mfspark.ingest.report import SideCounts
from mfspark.schemas import IdTypes, Side

if TYPE_CHECKING:
    from mfspark.ingest.side_tables.reader import SideTable


@dataclass(frozen=True)
class Described:
    """A row for every user or item of the side files: its id, and the columns of their schema."""

    side: Side
    content: SideTable
    frame: DataFrame

    @classmethod
    def of(cls, spark: SparkSession, side: Side, content: SideTable, ids: IdTypes) -> Described:
        """Give the ids of a side table the night's type, which all of them fit."""
        from pyspark.sql.pandas.types import from_arrow_schema

        name, table = f"{side}_id", content.table
        # With its schema: Spark Connect infers none where there are no rows.
        frame = spark.createDataFrame(table, from_arrow_schema(table.schema))
        frame = frame.withColumn(name, F.col(name).cast(SPARK_TYPE[ids.of(side)]))
        return cls(side, content, frame)

    @property
    def ids(self) -> DataFrame:
        """Their ids as a column `id`."""
        return self.frame.select(F.col(f"{self.side}_id").alias("id"))

    def counts(self, rated: DataFrame, files: Sequence[str]) -> SideCounts:
        """Count them; `rated` has the ids of the side that have ratings as a column `id`.

        Raises InputError where there are files, but none of their ids has a rating.
        """
        if not files:
            return SideCounts()
        n = len(self.content.table)
        matched = self.ids.join(rated, "id", "left_semi").count()
        if not matched:
            listed = n + self.content.n_skipped
            few = ", ".join(display_names(files)[:3])
            verb = "is rated" if self.side == "item" else "rated anything"
            raise InputError(
                f"none of the {listed:,} {self.side}s in {few} {verb}",
                "probably the wrong file, or ids written differently (leading zeros?)",
            )
        return SideCounts(n, n - matched, self.content.n_duplicates, self.content.n_skipped)

    def joined_to(self, statistics: DataFrame) -> DataFrame:
        """Return statistics with the columns of the side files; null where they say nothing."""
        return statistics.join(self.frame, f"{self.side}_id", "left")
