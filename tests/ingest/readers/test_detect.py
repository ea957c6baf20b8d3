"""The table of formats: an entry more is a format more, of ratings and of side files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pytest

from mfspark.config import config
from mfspark.config.config import IngestOptions
from mfspark.errors import InputError
from mfspark.ingest.readers import detect
from mfspark.ingest.readers.detect import DELIMITERS, FORMATS
from mfspark.ingest.readers.shapes.long import LongColumns
from mfspark.ingest.readers.source import Split, TableFormat, TextTable
from mfspark.ingest.readers.validate import Fields, Rules, clean
from mfspark.ingest.side_tables.items import read_items

HEAD = b"TOY1"
READING = LongColumns(-1, 0, 1, person="1")


@dataclass(frozen=True)
class ToySource:
    """Two letters a rating: an item and its stars; all by user 1."""

    path: str
    reading: LongColumns = READING

    def read(self, split: Split) -> Iterator[pa.RecordBatch]:
        pairs = Path(self.path).read_bytes().removeprefix(HEAD).decode()[split.start : split.end]
        items, stars = (pa.array(list(pairs[i::2])) for i in (0, 1))
        lines = pa.array(range(split.first_line, split.first_line + len(items)), pa.int64())
        user = pa.array(["1"] * len(items))
        yield clean(Fields(lines, user, items, stars), Rules())


TOY = TableFormat(
    "toy",
    "a toy",
    "rename it to .toy",
    lambda _, head: head.startswith(HEAD),
    lambda path, _: (ToySource(path), "toy, one user"),
    lambda _, __: [(0, 4, 1), (4, 8, 3)],
    lambda _, __: TextTable(
        ["id", "title"], [pa.chunked_array([["a"]]), pa.chunked_array([["A"]])]
    ),
)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "FORMATS", (*FORMATS, TOY))


def test_the_option_says_what_there_is() -> None:
    names = [known.name for known in FORMATS]
    assert set(get_args(config.Format)) == {*DELIMITERS, *names}
    assert len(set(names)) == len(names)


@pytest.mark.usefixtures("toy")
def test_an_entry_more_is_read(read: Any, ratings_of: Any, file: Any) -> None:
    rows = read(file("r.toy", HEAD + b"a5b4c1"))
    assert ratings_of(rows) == [("1", "a", 5.0), ("1", "b", 4.0), ("1", "c", 1.0)]
    assert [row["line"] for row in rows] == [1, 2, 3]


@pytest.mark.usefixtures("toy")
def test_an_entry_more_is_read_beside_the_ratings(file: Any) -> None:
    items = read_items([str(file("i.toy", HEAD))], IngestOptions()).table
    assert items.select(["item_id", "title"]).to_pylist() == [{"item_id": "a", "title": "A"}]


@pytest.mark.usefixtures("toy")
def test_an_entry_more_is_named_where_it_is_not_expected(read: Any, file: Any) -> None:
    with pytest.raises(InputError, match=r"as text but looks like a toy\n  rename it to .toy"):
        read(file("r.csv", HEAD))
    with pytest.raises(InputError, match=r'is a toy, but ingest\.format is "excel"'):
        read(file("r.toy", HEAD), format="excel")
