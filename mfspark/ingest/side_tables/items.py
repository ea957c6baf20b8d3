"""Reads item files: ids, titles and genres; on the driver, as they are small beside ratings."""

from __future__ import annotations

import ast
import json
import posixpath
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mfspark.errors import InputError
from mfspark.ingest.readers.files import open_input
from mfspark.ingest.readers.shapes.names import TIERS
from mfspark.ingest.readers.shapes.personal import export_of
from mfspark.ingest.readers.source import TextTable
from mfspark.ingest.side_tables.reader import SideTable, known_column, read_side_files, trimmed

if TYPE_CHECKING:
    from mfspark.config.config import IngestOptions

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
_IDS = (
    TIERS["item"][0],
    {"movieid", "productid", "bookid", "asin", "isbn", "sku"},
    {"id"},
    TIERS["item"][1] - {"item"},
    {"item", "movie"},
)
_TITLES = (
    {"title", "movietitle", "itemtitle", "booktitle", "producttitle"},
    {"name", "itemname"},
)
_GENRES = ({"genres", "genre"}, {"categories", "category"}, {"tags"})
_HEADER = frozenset[str]().union(*_IDS, *_TITLES)


def read_items(files: Sequence[str], options: IngestOptions) -> SideTable:
    """Read item files: CSV and the like with or without a header, `::`, `u.item`, Excel, Parquet.

    Without a header the columns are id, title, genres. Genres are split at '|', else at ';' or ',';
    or are lists as JSON or Python write them. Of several rows with one id the first counts. Raises
    InputError for files that cannot be read as items.
    """
    return read_side_files(files, options, _HEADER, ITEM_SCHEMA, _parse)


def _parse(path: str, content: TextTable) -> pa.Table:
    if not content.names and len(content.columns) >= _BEFORE_FLAGS + len(ML100K_GENRES) - 1:
        flags = _flags(path, content.columns[_BEFORE_FLAGS:])
        if flags is not None:
            return _items(content.columns[0], content.columns[1], flags)
    item, title, genres = _parts(content, path)
    n = len(content.columns[item])
    titles = content.columns[title] if title >= 0 else pa.nulls(n, pa.string())
    split = (
        _split_genres(content.columns[genres])
        if genres >= 0
        else pa.nulls(n, ITEM_SCHEMA.field(2).type)
    )
    return _items(content.columns[item], titles, split)


def _items(
    ids: pa.ChunkedArray, titles: pa.ChunkedArray | pa.Array, genres: pa.Array | pa.ChunkedArray
) -> pa.Table:
    title = pc.utf8_normalize(pc.utf8_trim_whitespace(titles), form="NFC")
    title = pc.if_else(pc.equal(title, ""), None, title)
    return pa.table([trimmed(ids), title, genres], schema=ITEM_SCHEMA)


def _parts(content: TextTable, path: str) -> tuple[int, int, int]:
    """Return the positions of id, title and genres; -1 where there is none."""
    width = len(content.columns)
    if not content.names:
        return 0, 1 if width > 1 else -1, 2 if width > 2 else -1
    if export := export_of(content.names):
        return export.parts(content.names)["item"], export.title_position(content.names), -1
    genres, title, item = (known_column(content.names, t, path) for t in (_GENRES, _TITLES, _IDS))
    if item < 0 and title >= 0:
        item = next((i for i in range(width) if i not in (title, genres)), -1)
    if item < 0:
        raise InputError(
            f"{path}: no column looks like an item id (found: {', '.join(content.names)})",
            "name the columns itemId, title and genres",
        )
    return item, title, genres


def _split_genres(values: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    kind = ITEM_SCHEMA.field(2).type
    if pa.types.is_list(values.type):
        return pc.cast(values, kind)
    text = trimmed(values).combine_chunks()
    none = pc.or_(pc.equal(text, ""), pc.equal(text, _NO_GENRES))
    text = pc.if_else(none, None, text)
    if (lists := _written_lists(text)) is not None:
        return lists
    separator = _genre_separator(text)
    blanks_too = rf"\s*{re.escape(separator)}\s*" if separator else r"\x00"
    lists = pc.split_pattern_regex(text, blanks_too)
    return pc.if_else(none, pa.scalar([], kind), pc.cast(lists, kind))


def _written_lists(text: pa.Array) -> pa.Array | None:
    """Read lists as JSON or Python write them: ["Drama", "War"], [{'id': 1, 'name': 'Drama'}].

    None where a text, null aside, is none of these.
    """
    found: dict[str | None, list[str]] = {None: []}
    for one in text.unique().drop_null().to_pylist():
        names = _names_in(one)
        if names is None:
            return None
        found[one] = names
    kind = ITEM_SCHEMA.field(2).type
    return pa.array([found[one] for one in text.to_pylist()], kind) if len(found) > 1 else None


def _names_in(text: str) -> list[str] | None:
    if not (text.startswith("[") and text.endswith("]")):
        return None
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            values = [one.get("name") if isinstance(one, dict) else one for one in read(text)]
            names = [one.strip() for one in values if isinstance(one, str)]
            if len(names) == len(values):
                return list(filter(None, names))
    return None


def _genre_separator(text: pa.Array) -> str:
    """Return what stands between genres: '|' where there is any, else ';' or ',' or nothing.

    A comma may be part of a name. Then what it joins is always together: it separates where a part
    is found in two different texts, or where no text is found twice, which says nothing.
    """
    counted = {one["values"]: one["counts"] for one in text.drop_null().value_counts().to_pylist()}
    for separator in "|;,":
        joined = [value for value in counted if separator in value]
        if separator == "|" and joined:
            return separator
        parts = Counter(part.strip() for value in counted for part in set(value.split(separator)))
        apart = any(parts[p.strip()] > 1 for value in joined for p in value.split(separator))
        if joined and (apart or max(counted.values()) == 1):
            return separator
    return ""


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
