"""What came in, as the night records it; read without Spark by whoever asks a published run."""

from dataclasses import dataclass, field

from mfspark.errors import MfsparkError
from mfspark.schemas import IdTypes


@dataclass(frozen=True)
class SideCounts:
    """How many users or items the side files of a night describe."""

    n: int = 0
    n_unrated: int = 0
    """Of these, how many have no rating."""
    n_duplicates: int = 0
    """Rows passed over because their id had come before."""
    n_skipped: int = 0
    """Rows passed over because they have no usable id, or cannot be split into fields."""


@dataclass(frozen=True)
class IngestReport:
    """What came in.

    n_rows + n_carried = n_accepted + n_rejected + n_later + n_merged + n_replaced
    + n_counted.
    """

    n_rows: int
    """Rows of the files."""
    n_accepted: int
    """Rows of the `ratings` table."""
    n_rejected: int
    """Rows of the `rejected_ratings` table, duplicates included."""
    n_later: int
    """Ratings after the night's date; they belong to a later night."""
    rejected_by_reason: dict[str, int]
    rating_scale: tuple[float, float]
    """The configured scale, or the smallest and largest rating found."""
    rating_step: float | None
    """Largest of 1, 0.5, 0.25, 0.2, 0.1 that all ratings are multiples of, if any."""
    ids: IdTypes
    n_users: int
    """Users of this and all earlier nights."""
    n_items: int
    """Items of this and all earlier nights, those without ratings included."""
    described_users: SideCounts = field(default_factory=SideCounts)
    """What the user files hold."""
    described_items: SideCounts = field(default_factory=SideCounts)
    """What the item files hold."""
    n_merged: int = 0
    """Ratings averaged into another one of the same user and title (`items.merge_on`)."""
    read_as: dict[str, str] = field(default_factory=dict)
    """In words, how each ratings file was understood."""
    n_carried: int = 0
    """Ratings of the base run that tonight's were added to."""
    n_replaced: int = 0
    """Those of them that a newer rating of the same pair replaced."""
    n_counted: int = 0
    """Choices without ratings that were added to another one of the same pair."""
    notes: list[str] = field(default_factory=list)
    """What a reader of the summary should know of the input."""

    @property
    def rejected_share(self) -> float:
        """Rejected rows over all rows of the files."""
        return self.n_rejected / (self.n_rows or 1)

    def check(self) -> None:
        """Raise MfsparkError where rows are lost or counted twice."""
        came = self.n_rows + self.n_carried
        told = self.n_accepted + self.n_rejected + self.n_later
        told += self.n_merged + self.n_replaced + self.n_counted
        if came != told:
            raise MfsparkError(
                f"{came:,} ratings came in, and the tables and counts tell of {told:,}",
                "run the same command again; if it stays so, report it with the input",
            )
