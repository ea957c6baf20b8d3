"""Where blocks lie: in memory for the in-process grid, in Parquet files for the Spark grid.

A block is named by a reference such as "als/0007/user/0003". Both stores hold the same thing: named
arrays, or strips (all tiles of one row block, one after the other).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from mfspark.grid.block_format import read_group, write_arrays
from mfspark.kernels.arrays.tile import Arrays
from mfspark.system.durability import sync


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

    def discard(self, references: Iterable[str]) -> None:
        """Forget blocks, here and in the store behind, where they may have been saved."""
        gone = set(references)
        self._groups = {r: groups for r, groups in self._groups.items() if r not in gone}
        self._read = {key: arrays for key, arrays in self._read.items() if key[0] not in gone}
        if self._behind is not None:
            self._behind.discard(gone)

    def save(self, references: Iterable[str]) -> None:
        """Write blocks to the store behind, where they outlive this process, if there is one."""
        if self._behind is None:
            return
        wanted = list(references)
        for reference in wanted:
            if reference in self._groups:
                self._behind.put(reference, *self._groups[reference])
        self._behind.save(wanted)


class ParquetStore:
    """Blocks as Parquet files below one directory that driver and workers share."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def get(self, reference: str, key: int = 0) -> Arrays:
        """Read one group of a file."""
        return read_group(self._path(reference), key)

    def put(self, reference: str, *groups: Arrays) -> None:
        """Write one file, atomically."""
        write_arrays(self._path(reference), enumerate(groups))

    def discard(self, references: Iterable[str]) -> None:
        """Delete files."""
        for reference in references:
            self._path(reference).unlink(missing_ok=True)

    def save(self, references: Iterable[str]) -> None:
        """Sync files and their names."""
        paths = [self._path(reference) for reference in references]
        for path in (*paths, *{path.parent for path in paths}):
            sync(path)

    def _path(self, reference: str) -> Path:
        return Path(self.root, f"{reference}.parquet")
