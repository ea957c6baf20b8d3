"""What was read, row by row counted, and the refusal of an input that is mostly rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from mfspark.errors import InputError
from mfspark.ingest.readers.validate import NOT_RATED, TOTALS_ROW

if TYPE_CHECKING:
    from mfspark.config.config import IngestOptions

ACCEPTED, LATER = "accepted", "later"
SUPERSEDED = "superseded_duplicate"
_WHAT_DECIDES = {
    "bad_timestamp": "times are ISO 8601 (2023-04-11) or numbers; --set ingest.columns.timestamp=- "
    "reads none; ",
    "rating_not_a_number": "ratings are decimal numbers; --set ingest.columns.rating=NAME takes "
    "another column; ",
    "malformed_line": "--set ingest.delimiter=CHARACTER says what stands between fields; ",
}
"""What to do about the commonest reason."""


class Example(NamedTuple):
    """A row as it stands in a file; of two the first is the smaller."""

    file: int
    line: int
    cell: int
    raw: str


@dataclass(frozen=True)
class IdForms:
    """How the accepted ids of one side are written."""

    n_plain: int
    """Plain integers."""
    n_point_zero: int
    """Whole numbers with .0, as floats are written."""
    n: int

    def __add__(self, other: IdForms) -> IdForms:
        """Return those of both together."""
        plain, zero = self.n_plain + other.n_plain, self.n_point_zero + other.n_point_zero
        return IdForms(plain, zero, self.n + other.n)

    @property
    def all_plain(self) -> bool:
        """Whether all are plain integers, without the .0 of some."""
        return self.n_plain + self.n_point_zero == self.n

    @property
    def are_floats(self) -> bool:
        """Whether .0 is to be taken off: some have it, and at least half are numbers."""
        return self.n_point_zero > 0 and 2 * (self.n_plain + self.n_point_zero) >= self.n


@dataclass(frozen=True)
class KindCounts:
    """How many rows there are as read, of each kind (accepted, or a reason), and one of each."""

    n_rows: int
    by_kind: dict[str, int]
    examples: Mapping[str, Example]

    @property
    def rejected(self) -> dict[str, int]:
        """Counts of the rejected rows by reason."""
        return {kind: n for kind, n in self.by_kind.items() if kind not in (ACCEPTED, LATER)}

    @property
    def n_bad(self) -> int:
        """Rejected rows but for those that are no ratings by what they say."""
        return sum(n for why, n in self.rejected.items() if why not in (NOT_RATED, TOTALS_ROW))


def too_many_rejected(counts: KindCounts, options: IngestOptions) -> bool:
    """Return whether more than the allowed share was rejected; what is not rated does not count."""
    return counts.n_bad > options.max_rejected_share * counts.n_rows


def unusable(
    counts: KindCounts, names: Sequence[str], options: IngestOptions, until: date | None
) -> InputError:
    """Say how much was rejected, why, and show a row of each of the commonest reasons."""
    n, total = sum(counts.rejected.values()), counts.n_rows
    if not total:
        return InputError(f"no ratings in {', '.join(names[:3])}", "the input has no rows of data")
    later = counts.by_kind.get(LATER, 0)
    if later and not counts.by_kind.get(ACCEPTED) and not n:
        return InputError(
            f"all {later:,} ratings are later than {until}", "check the run date and the timestamps"
        )
    lines = [f"{n:,} of {total:,} rows ({n / total:.1%}) were rejected:"]
    for reason, count in list(counts.rejected.items())[:3]:
        at = counts.examples[reason]
        raw = at.raw if len(at.raw) <= 80 else at.raw[:77] + "..."
        lines.append(f"  {count:,} {reason}, such as {names[at.file]}:{at.line}: {raw}")
    first = _WHAT_DECIDES.get(next(iter(counts.rejected), ""), "")
    return InputError(
        "\n".join(lines),
        f"{first}mend the input or name its columns (ingest.columns, ingest.format); up to "
        f"ingest.max_rejected_share = {options.max_rejected_share:g} of the rows may be rejected",
    )


def too_many_repeats(n_repeats: int, n_rows: int, example: str) -> InputError:
    """Say how many rows rate an item again that their user has rated; example: one of them."""
    return InputError(
        f"{n_repeats:,} of {n_rows:,} accepted rows ({n_repeats / n_rows:.1%}) are superseded: "
        f"their user rated the same item again{example}",
        "a wrong column may have been taken (see how each file was read; --set "
        "ingest.columns.user=NAME, ingest.columns.item=NAME); if users do rate again and again, "
        "raise ingest.max_superseded_share",
    )
