"""Where ingest keeps what it reads more than once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class Scratch(Protocol):
    """Keeps frames by name until the night has ended; one kept again replaces the older."""

    def keep(self, frame: DataFrame, name: str) -> DataFrame:
        """Write a frame, once, and return it as it is read back."""
        ...

    def keep_in_order(self, frame: DataFrame, by: str, name: str) -> tuple[DataFrame, int]:
        """Write a frame, once, and return it with each row's `position` (long) by a column.

        Also returns how many rows there are.
        """
        ...
