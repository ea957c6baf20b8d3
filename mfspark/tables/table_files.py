"""The files of a table, as a manifest or a night lists them; a listing is never asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mfspark.storage.protocol import Storage

if TYPE_CHECKING:
    import pyarrow.dataset as ds


@dataclass(frozen=True)
class TableFiles:
    """Some Parquet files of one storage, in order."""

    storage: Storage
    keys: tuple[str, ...]

    @property
    def shown(self) -> list[str]:
        """Their paths, or URLs."""
        return [self.storage.show(key) for key in self.keys]

    @property
    def paths(self) -> list[str] | None:
        """Their paths; None where they lie on no disk of this machine."""
        found = [self.storage.local(key) for key in self.keys]
        return None if None in found else list(map(str, found))

    def row_groups(self, most: int) -> list[tuple[str, range]]:
        """Return their row groups by file, up to so many together; reads the footers."""
        import pyarrow.parquet as pq  # as below

        found: list[tuple[str, range]] = []
        for key in self.keys:
            with pq.ParquetFile(self.storage.open(key)) as file:
                n = file.num_row_groups
            found += [(key, range(first, min(first + most, n))) for first in range(0, n, most)]
        return found

    def dataset(self) -> ds.Dataset:
        """Return them as one pyarrow dataset."""
        import pyarrow.dataset as ds  # takes a tenth of a second, which a listing can do without

        if self.paths is not None:
            return ds.dataset(self.paths, format="parquet")
        from mfspark.storage.arrow import arrow_file_system

        return ds.dataset(
            list(self.keys), format="parquet", filesystem=arrow_file_system(self.storage)
        )
