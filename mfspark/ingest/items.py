"""Reads item files: ids, titles and genres; on the driver, as they are small beside ratings."""

from __future__ import annotations

import posixpath
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mfspark.errors import InputError
from mfspark.ingest.excel import read_sheet
from mfspark.ingest.formats import recognise, sample_text
from mfspark.ingest.layout import plain_name
from mfspark.ingest.lines import examine
from mfspark.ingest.sources import open_input, size_of
from mfspark.ingest.text import TextFile, read_records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mfspark.config import Ingest

ITEM_SCHEMA = pa.schema(
    [("item_id", pa.string()), ("title", pa.string()), ("genres", pa.list_(pa.string()))]
)
_GENRE_LINE = (
    "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy "
    "Film-Noir Horror Musical Mystery Romance Sci-Fi Thriller War Western"
)
ML100K_GENRES = tuple(_GENRE_LINE.split(" "))
"""The genre flags of MovieLens 100K's u.item, where no u.genre lies beside it."""

_BEFORE_FLAGS = 5  # u.item: id, title, two dates and an address come before the flags
_NO_GENRES = "(no genres listed)"
_IDS = {"id", "itemid", "movieid", "productid", "bookid", "asin", "isbn", "item", "movie", "sku"}
_TITLES = {"title", "name", "movietitle", "itemname", "itemtitle", "booktitle", "producttitle"}
_GENRES = {"genres", "genre", "categories", "category", "tags"}


@dataclass(frozen=True)
class Catalogue:
    """What item files hold: a row an item as ITEM_SCHEMA, and what was left out."""

    table: pa.Table
    n_duplicates: int = 0
    """Rows whose id had come before; the first one counts."""
    n_skipped: int = 0
    """Rows without an id, or that could not be split into fields."""

    def keep(self, mask: pa.ChunkedArray) -> Catalogue:
        """Keep the rows of a mask and count the others as skipped."""
        kept = self.table.filter(mask)
        return replace(self, table=kept, n_skipped=self.n_skipped + len(self.table) - len(kept))


@dataclass(frozen=True)
class _Columns:
    """Text columns of one item file; `names` is empty where there is no header."""

    names: list[str]
    columns: list[pa.ChunkedArray]
    n_malformed: int = 0


def read_items(files: Sequence[str], options: Ingest) -> Catalogue:
    """Read item files: CSV and the like with or without a header, `::`, `u.item`, Excel, Parquet.

    Without a header the columns are id, title, genres. Genres are split at '|'. Of several rows
    with one id the first counts. Raises InputError for files that cannot be read as items.
    """
    anything = options.model_copy(update={"format": "auto", "header": None})
    parts = [_read(path, anything) for path in files]
    table = pa.concat_tables([ITEM_SCHEMA.empty_table(), *(table for table, _ in parts)])
    named = table.filter(pc.not_equal(table["item_id"], ""))
    n_blank = len(table) - len(named)
    position = pa.array(np.arange(len(named)))
    first = (
        named.append_column("position", position)
        .group_by("item_id")
        .aggregate([("position", "min")])
    )
    kept = named.take(pa.array(np.sort(first["position_min"].to_numpy())))
    n_malformed = sum(malformed for _, malformed in parts)
    return Catalogue(kept.combine_chunks(), len(named) - len(kept), n_blank + n_malformed)


def _read(path: str, options: Ingest) -> tuple[pa.Table, int]:
    found = recognise(path, options)
    if found.kind == "parquet":
        content = _from_parquet(path)
    elif found.kind == "excel":
        content = _from_sheet(path, options)
    else:
        content = _from_text(path, options)
    width = len(content.columns)
    if not content.names and width >= _BEFORE_FLAGS + len(ML100K_GENRES) - 1:
        flags = _flags(path, content.columns[_BEFORE_FLAGS:])
        if flags is not None:
            return _items(content.columns[0], content.columns[1], flags), content.n_malformed
    item, title, genres = _parts(content, path)
    n = len(content.columns[item])
    titles = content.columns[title] if title >= 0 else pa.nulls(n, pa.string())
    split = (
        _split_genres(content.columns[genres])
        if genres >= 0
        else pa.nulls(n, ITEM_SCHEMA.field(2).type)
    )
    return _items(content.columns[item], titles, split), content.n_malformed


def _items(
    ids: pa.ChunkedArray, titles: pa.ChunkedArray | pa.Array, genres: pa.Array | pa.ChunkedArray
) -> pa.Table:
    text = pc.fill_null(pc.utf8_trim_whitespace(ids), "")
    title = pc.utf8_trim_whitespace(titles)
    title = pc.if_else(pc.equal(title, ""), None, title)
    return pa.table([text, title, genres], schema=ITEM_SCHEMA)


def _parts(content: _Columns, path: str) -> tuple[int, int, int]:
    """Return the positions of id, title and genres; -1 where there is none."""
    width = len(content.columns)
    if not content.names:
        return 0, 1 if width > 1 else -1, 2 if width > 2 else -1
    plain = [plain_name(name) for name in content.names]
    genres = _position(plain, _GENRES)
    title = _position(plain, _TITLES)
    item = _position(plain, _IDS)
    if item < 0 and title >= 0:
        item = next((i for i in range(width) if i not in (title, genres)), -1)
    if item < 0:
        raise InputError(
            f"{path}: no column looks like an item id (found: {', '.join(content.names)})",
            "name the columns itemId, title and genres",
        )
    return item, title, genres


def _position(plain: Sequence[str], known: set[str]) -> int:
    return next((i for i, name in enumerate(plain) if name in known), -1)


def _split_genres(values: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    if pa.types.is_list(values.type):
        return pc.cast(values, ITEM_SCHEMA.field(2).type)
    text = pc.fill_null(pc.utf8_trim_whitespace(values), "")
    none = pc.or_(pc.equal(text, ""), pc.equal(text, _NO_GENRES))
    lists = pc.split_pattern(text, "|")
    empty = pa.scalar([], ITEM_SCHEMA.field(2).type)
    return pc.if_else(none, empty, pc.cast(lists, ITEM_SCHEMA.field(2).type))


def _flags(path: str, columns: Sequence[pa.ChunkedArray]) -> pa.Array | None:
    """Turn 0/1 columns into lists of genre names; None where they are not such flags."""
    names = _genre_names(path)
    if len(names) != len(columns):
        return None
    set_ = [pc.equal(column, "1").to_numpy(zero_copy_only=False) for column in columns]
    clear = [pc.equal(column, "0").to_numpy(zero_copy_only=False) for column in columns]
    flags = np.column_stack(set_)
    if not (flags | np.column_stack(clear)).all():
        return None
    rows, genres = np.nonzero(flags)
    offsets = np.searchsorted(rows, np.arange(len(flags) + 1)).astype(np.int32)
    values = pa.array(names, pa.string()).take(pa.array(genres))
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _genre_names(path: str) -> Sequence[str]:
    """Read `u.genre` (name|number a line) beside the file, or take the standard names."""
    try:
        with open_input(posixpath.join(posixpath.dirname(path), "u.genre")) as stream:
            lines = stream.read().decode("iso-8859-1").splitlines()
    except InputError:
        return ML100K_GENRES
    return [line.rpartition("|")[0] for line in lines if "|" in line]


def _from_text(path: str, options: Ingest) -> _Columns:
    found = recognise(path, options)
    delimiter, sample = sample_text(found, options, path)
    blank = next((n for n, record in enumerate(sample) if any(map(str.strip, record))), 0)
    first = [cell.strip() for cell in sample[blank]]
    header = any(plain_name(cell) in _IDS | _TITLES for cell in first)
    width = len(first) if header else Counter(map(len, sample)).most_common(1)[0][0]
    size = size_of(path)
    facts = examine(path, 0, size, found.gzipped)
    file = TextFile(
        path,
        delimiter,
        width,
        skip=blank + header,
        gzipped=found.gzipped,
        encoding="utf-8" if facts.utf8 and options.encoding != "iso-8859-1" else "iso-8859-1",
        multiline=facts.odd_quotes and delimiter != "::",
    )
    records = list(read_records(file, 0, size, 1))
    columns = [
        pa.chunked_array([part.columns[i] for part in records], pa.string()) for i in range(width)
    ]
    n_malformed = sum(1 for part in records for _, text in part.malformed if text.strip())
    filled = pc.not_equal(columns[0], "")
    for column in columns[1:]:
        filled = pc.or_(filled, pc.not_equal(column, ""))
    return _Columns(first if header else [], [c.filter(filled) for c in columns], n_malformed)


def _from_sheet(path: str, options: Ingest) -> _Columns:
    records = list(read_sheet(path, "", options.max_sheet_cells))
    if not records:
        raise InputError(f"{path} holds no rows", "check how it was exported")
    width = len(records[0].columns)
    columns = [
        pa.chunked_array([part.columns[i] for part in records], pa.string()) for i in range(width)
    ]
    return _Columns([str(c[0]).strip() for c in columns], [c.slice(1) for c in columns])


def _from_parquet(path: str) -> _Columns:
    try:
        with open_input(path) as stream:
            table = pq.read_table(stream)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(
            f"{path} is a broken Parquet file: {str(error).splitlines()[0]}",
            "it may be cut off or still being written; copy it again",
        ) from None
    columns = [c if pa.types.is_list(c.type) else _text(c) for c in table.columns]
    return _Columns(table.column_names, columns)


def _text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return any column as text; a nested one, which is neither id nor title, as nulls."""
    try:
        return pc.cast(values, pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.chunked_array([pa.nulls(len(values), pa.string())])
