"""What ingest is told of the base run, the one that a night builds upon."""

from __future__ import annotations

from dataclasses import dataclass

from mfspark.schemas import IdTypes, Side
from mfspark.tables.table_files import TableFiles


@dataclass(frozen=True)
class BaseRatings:
    """All ratings of the base run."""

    files: TableFiles
    """Its table `ratings`."""
    n: int
    scale: tuple[float, float]
    step: float | None


@dataclass(frozen=True)
class BaseRun:
    """What the base run says: the ids of both sides and their numbers."""

    users: TableFiles
    """Its table `users`."""
    items: TableFiles
    """Its table `items`."""
    ids: IdTypes
    ratings: BaseRatings | None = None
    """Its ratings, where tonight's files hold only what is new."""

    def known(self, side: Side) -> TableFiles:
        """Return the table of one side."""
        return self.users if side == "user" else self.items
