"""What a reader gives: a source of ratings, of which tasks read parts, or a whole table as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

if TYPE_CHECKING:
    from mfspark.config.config import IngestOptions
    from mfspark.ingest.readers.shapes.long import LongColumns
    from mfspark.ingest.readers.shapes.wide import WideColumns


@dataclass(frozen=True)
class Split:
    """A part of a file for one task: bytes [start, end) of text, or row groups of Parquet."""

    file: int
    start: int
    end: int
    first_line: int = 1
    lines: int | None = None
    """How many lines, or rows of Parquet, it has; None where nobody counted them."""


class Source(Protocol):
    """A file of ratings and how it is read; goes to the tasks."""

    @property
    def reading(self) -> LongColumns | WideColumns:
        """Which column plays which part."""
        ...

    def read(self, split: Split, /) -> Iterator[pa.RecordBatch]:
        """Yield the cleaned rows of a part, with the columns of `validate.CLEANED`."""
        ...


@dataclass(frozen=True)
class TextTable:
    """The columns of one whole file as text; `names` is empty where there is no header."""

    names: list[str]
    columns: list[pa.ChunkedArray]
    n_malformed: int = 0
    """Records that could not be split into fields."""


@dataclass(frozen=True)
class TableFormat:
    """A format that is told by the first bytes of a file; see `detect.FORMATS`."""

    name: str
    """As `ingest.format` has it."""
    article: str
    """As messages have it, such as "a Parquet file"."""
    remedy: str
    """What to do where such a file is named as text."""
    looks_like: Callable[[str, bytes], bool]
    """Whether the file at a path, which begins with some bytes, is one. May raise InputError."""
    source: Callable[[str, IngestOptions], tuple[Source, str]]
    """Give the ratings of a file, and say in words how it is understood. Raises InputError."""
    ranges: Callable[[str, int], list[tuple[int, int, int]]]
    """Cut a file into parts (start, end, first line) of about so many bytes."""
    table: Callable[[str, IngestOptions], TextTable]
    """Read a whole file of users or items. Raises InputError."""


def text_columns(parts: Iterable[list[pa.Array]], width: int) -> list[pa.ChunkedArray]:
    """Join the columns of batches of text."""
    batches = list(parts)
    return [pa.chunked_array([part[i] for part in batches], pa.string()) for i in range(width)]
