"""Where blocks lie: in memory for the in-process grid, in Parquet files for the Spark grid.

A block is named by a reference such as "als/0007/user/0003". Both stores hold the same thing: named
arrays, or strips (all tiles of one row block, one after the other).
"""

import uuid
from collections.abc import Iterable, Sequence
from typing import Protocol

from mfspark.grid.block_format import read_group, write_arrays
from mfspark.kernels.arrays.tile import Arrays
from mfspark.storage.cache import MachineCache
from mfspark.storage.protocol import Storage

CACHE_BYTES = 8 << 30
"""What copies of blocks may take of the disk of each machine, where the warehouse is on none."""
_THIS_DRIVER = uuid.uuid4().hex  # another driver may write other blocks by the same references


class BlockStore(Protocol):
    """Keeps groups of arrays by reference."""

    def get(self, reference: str, key: int = 0) -> Arrays:
        """Return one group of a reference."""
        ...

    def put(self, reference: str, *groups: Arrays) -> None:
        """Keep groups 0, 1, ... under a reference; what was there before is replaced whole."""
        ...

    def discard(self, references: Iterable[str]) -> None:
        """Forget some references; those that are not there are no error."""
        ...

    def save(self, references: Iterable[str]) -> None:
        """Make sure that blocks outlive this process, and a power failure."""
        ...


class MemoryStore:
    """Blocks in the memory of one process; reads what it does not hold from `behind`."""

    def __init__(self, behind: BlockStore | None = None) -> None:
        self._groups: dict[str, Sequence[Arrays]] = {}
        self._behind = behind
        self._only_here: set[str] = set()
        self._read: dict[tuple[str, int], Arrays] = {}

    def get(self, reference: str, key: int = 0) -> Arrays:
        """Return one group; what comes from the store behind is read once."""
        if reference in self._groups:
            return self._groups[reference][key]
        if self._behind is None:
            raise KeyError(reference)
        if (reference, key) not in self._read:
            self._read[reference, key] = self._behind.get(reference, key)
        return self._read[reference, key]

    def put(self, reference: str, *groups: Arrays) -> None:
        """Keep groups; the arrays are not copied."""
        self._groups[reference] = groups
        self._only_here.add(reference)

    def discard(self, references: Iterable[str]) -> None:
        """Forget blocks, here and in the store behind, unless they were never saved there."""
        gone = set(references)
        self._groups = {r: groups for r, groups in self._groups.items() if r not in gone}
        self._read = {key: arrays for key, arrays in self._read.items() if key[0] not in gone}
        elsewhere, self._only_here = gone - self._only_here, self._only_here - gone
        if self._behind is not None and elsewhere:
            self._behind.discard(sorted(elsewhere))

    def save(self, references: Iterable[str]) -> None:
        """Write blocks to the store behind, where they outlive this process, if there is one."""
        if self._behind is None:
            return
        wanted = list(references)
        for reference in wanted:
            if reference in self._groups:
                self._behind.put(reference, *self._groups[reference])
                self._only_here.discard(reference)
        self._behind.save(wanted)


class ParquetStore:
    """Blocks as Parquet files below a key of a storage that driver and workers share."""

    def __init__(self, storage: Storage, place: str) -> None:
        self._storage, self._place = storage, place
        self._cache = MachineCache(_THIS_DRIVER, CACHE_BYTES)

    def get(self, reference: str, key: int = 0) -> Arrays:
        """Read one group of a file; a file that is on no disk is fetched once a machine."""
        file = self._key(reference)
        return read_group(self._storage.local(file) or self._cache.open(self._storage, file), key)

    def put(self, reference: str, *groups: Arrays) -> None:
        """Write one file: readers see the old one or the new one.

        A task that is run twice writes the same bytes twice, so retries and speculation do no harm.
        Where the storage is on no disk, this machine keeps a copy: it is often the one that reads.
        """
        file = self._key(reference)
        with self._cache.writing(self._storage, file) as sink:
            write_arrays(sink, enumerate(groups))

    def discard(self, references: Iterable[str]) -> None:
        """Delete files."""
        self._storage.delete(map(self._key, references))

    def save(self, references: Iterable[str]) -> None:
        """Make files, and their names, durable."""
        self._storage.sync(map(self._key, references))

    def _key(self, reference: str) -> str:
        return f"{self._place}/{reference}.parquet"
