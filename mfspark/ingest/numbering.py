"""Dense numbers of ids, stable from night to night, and the place of each id in the tables' order.

Every part of the ratings has ids of its own. All of them are put in order, integers by value and
text by its bytes; new ones are numbered in that order, behind those of the base run. While there
are few, this process does it; else Spark sorts and joins them (`numbering_by_spark`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mfspark.errors import InputError
from mfspark.ingest.ids import TypedIds
from mfspark.ingest.parts import ReadRows
from mfspark.schemas import Side
from mfspark.storage.protocol import Storage
from mfspark.tables.table_files import TableFiles
from mfspark.tables.task_files import (
    TABLE_CACHE,
    write_file,
    write_rows,
)

FEW_IDS = 20_000_000
"""Of all parts together, that this process numbers: some 50 bytes each."""
MAX_INDEX = 2**31 - 1
PLACES = pa.schema([("place", pa.int32()), ("variant", pa.int32())])
"""Of the ids of a part, row by row: the place in order, and the variant."""


@dataclass(frozen=True)
class Numbered:
    """The ids of one side in order."""

    storage: Storage
    n: int
    ids: TableFiles
    """Columns id and idx; the row is the place of an id."""
    of_parts: tuple[tuple[str, int], ...]
    """For each part, the key and the row group of the places of its ids (PLACES)."""
    weights: np.ndarray
    """int64: how many ratings the parts have of each run of `width` places."""
    width: int = 1

    def places(self, part: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the place of each id of a part, int32 (n_ids), and which variant of it that is.

        Variants are what counts as the same id, such as items of one title; 0 is itself.
        """
        key, group = self.of_parts[part]
        with pq.ParquetFile(TABLE_CACHE.open(self.storage, key)) as file:
            table = file.read_row_group(group, use_threads=False)
        return table["place"].to_numpy(), table["variant"].to_numpy()

    def take(self, places: np.ndarray) -> pa.Table:
        """Return the ids and numbers of some places, ascending; reads what holds one of them."""
        found, begin = list[pa.Table](), 0
        for key in self.ids.keys:
            with pq.ParquetFile(TABLE_CACHE.open(self.storage, key)) as file:
                found = found or [file.schema_arrow.empty_table()]
                for group in range(file.num_row_groups):
                    end = begin + file.metadata.row_group(group).num_rows
                    here = places[slice(*np.searchsorted(places, [begin, end]))]
                    if len(here):
                        rows = file.read_row_group(group, use_threads=False)
                        found.append(rows.take(pa.array(here - begin)))
                    begin = end
        return pa.concat_tables(found)

    def place_of_number(self) -> np.ndarray:
        """Return the place of each id by its number, int32 (n)."""
        numbers = self.ids.dataset().to_table(columns=["idx"])["idx"].to_numpy()
        places = np.empty(self.n, np.int32)
        places[numbers] = np.arange(self.n)
        return places

    def starts(self, n: int) -> tuple[int, ...]:
        """Return where n ranges of places with about as many ratings begin; fewer if need be."""
        before = np.concatenate([[0], np.cumsum(self.weights)])
        wanted = before[-1] * np.arange(n) / n
        buckets = np.unique(np.searchsorted(before, wanted, side="right") - 1)
        return (0, *(int(bucket) * self.width for bucket in buckets if bucket))


@dataclass(frozen=True)
class Numbering:
    """The ids of one side that are to be numbered."""

    rows: ReadRows
    side: Side
    typed: TypedIds
    place: str
    """The key below which what is found is written."""
    others: pa.Array
    """Ids of this night that perhaps no rating has."""
    base: TableFiles | None = None
    """The table `users` or `items` of the base run: its ids keep their numbers."""
    carried: bool = False
    """Whether the ratings of the base run are added to tonight's."""
    merged: pa.Table | None = None
    """Columns id and kept: ratings of the first count as those of the second."""

    @property
    def n_ids(self) -> int:
        """Ids of all parts together, and of the base run."""
        n = sum(part.n_ids[self.side] for part in self.rows.parts) + len(self.others)
        return n + (self.base.dataset().count_rows() if self.base else 0)

    def here(self) -> Numbered:
        """Number them in this process. Raises InputError above 2^31 - 1 ids."""
        parts = [self.of_part(content.read()) for content in self._opened()]
        ids = [part["id"].combine_chunks() for part in parts]
        encoded = pa.chunked_array([*ids, self.others], self.typed.arrow).dictionary_encode()
        encoded = encoded.unify_dictionaries()
        codes = [chunk.indices.to_numpy() for chunk in encoded.chunks]
        distinct = pa.array([], self.typed.arrow)
        if encoded.num_chunks:  # none where there is no id at all
            distinct = encoded.chunk(encoded.num_chunks - 1).dictionary
        known, numbers, n_carried = self._of_base()
        new = distinct.filter(pc.invert(pc.is_in(distinct, known)))
        all_ids = pa.concat_arrays([known, new])
        order = pc.array_sort_indices(all_ids).to_numpy()
        first, is_new = int(numbers.max(initial=-1)) + 1, order >= len(known)
        check_number(first + len(new))
        idx = np.where(is_new, first + np.cumsum(is_new) - 1, 0)
        idx[~is_new] = numbers[order[~is_new]]
        place_of = np.empty(len(order), np.int32)
        place_of[order] = np.arange(len(order))
        weights = np.zeros(len(order), np.int64)
        weights[place_of[: len(known)]] += n_carried
        place_of = place_of[pc.index_in(distinct, all_ids).to_numpy()]
        tables = list[pa.Table]()
        for part, code in zip(parts, codes, strict=False):  # the last codes are of the others
            places = place_of[code]
            np.add.at(weights, places, part["n"].to_numpy())
            tables.append(pa.table([places, part["variant"]], schema=PLACES))
        key = self.key("places")
        written = write_file(tables, self.rows.storage, key, 0, PLACES)
        of_parts = tuple((f"{key}/{written.name}", group) for group in range(len(tables)))
        in_order = pa.table({"id": all_ids.take(pa.array(order)), "idx": pa.array(idx, pa.int32())})
        key = self.key("ids")
        file = write_rows(in_order, self.rows.storage, key)
        ids_file = TableFiles(self.rows.storage, (f"{key}/{file.name}",))
        return Numbered(self.rows.storage, len(order), ids_file, of_parts, weights)

    def key(self, what: str) -> str:
        """Return the key below which something of the ids is written."""
        return f"{self.place}/{self.side}s/{what}"

    def _opened(self) -> Iterator[pq.ParquetFile]:
        for key in self.rows.ids(self.side).keys:
            with pq.ParquetFile(TABLE_CACHE.open(self.rows.storage, key)) as file:
                yield file

    def of_part(self, ids: pa.Table | pa.RecordBatch) -> pa.Table:
        """Return the ids of a part as they are stored (id), which variants they are, and n."""
        typed = self.typed.of(ids["id"])
        variants = pa.array(np.zeros(len(ids["n"]), np.int32))
        if self.merged is not None:
            at = pc.index_in(typed, self.merged["id"].combine_chunks())
            kept = self.merged["kept"].combine_chunks().take(at)
            typed, variants = pc.coalesce(kept, typed), pc.fill_null(pc.add(at, 1), 0)
        return pa.table({"id": typed, "variant": variants.cast(pa.int32()), "n": ids["n"]})

    def _of_base(self) -> tuple[pa.Array, np.ndarray, np.ndarray]:
        """Return ids of the base run, their numbers, and how many ratings each brings, int64."""
        if self.base is None:
            return pa.array([], self.typed.arrow), np.empty(0, np.int64), np.empty(0, np.int64)
        columns = [f"{self.side}_id", f"{self.side}_idx", "n_ratings"]
        ids, numbers, n = self.base.dataset().to_table(columns=columns).columns
        brought = n.to_numpy() * self.carried
        return ids.combine_chunks(), numbers.to_numpy().astype(np.int64), brought


def check_number(n: int) -> None:
    """Raise InputError where there are more ids than numbers for them."""
    if n > MAX_INDEX:
        raise InputError(
            f"{n:,} different ids are more than the {MAX_INDEX:,} that can be numbered",
            "check that the id column is not a row number or a timestamp",
        )
