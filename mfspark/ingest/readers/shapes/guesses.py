"""Which columns may be the parts that no name says: guesses, for the values to speak against."""

from collections.abc import Callable, Sequence

from mfspark.ingest.readers.shapes.cells import Cells, Sample
from mfspark.ingest.readers.shapes.left_out import is_row_index
from mfspark.ingest.readers.shapes.names import COUNTS, NAMES, NO_PARTS, names_an_id, plain_name
from mfspark.ingest.readers.shapes.readings import MOST_LONG_COLUMNS
from mfspark.ingest.readers.times import looks_like_timestamp

PARTS = ("user", "item", "rating")
Found = dict[str, int]
"""Position of each part that is known."""


def left_over(sample: Sample, found: Found) -> list[int]:
    """Return the columns that are neither found, nor named as times, nor number the rows."""
    free = [i for i in range(len(sample.columns)) if i not in found.values()]
    if not sample.names:
        return free
    free = [i for i in free if plain_name(sample.names[i]) not in TIMES]
    return [i for i in free if not is_row_index(sample.names[i], sample.columns[i])]


def completed(sample: Sample, found: Found, *, counts: bool = False) -> Found:
    """Return what is found with a guess of the parts that are missing, as far as there is one.

    No guess takes a column for what its name denies: a price for a rating, an id for one, or
    how often something was chosen, unless such `counts` are said to be ratings.
    """
    guesses: tuple[Callable[[Sample, Found], Found], ...] = (
        as_many_as_missing,
        usual_order,
        only_numbers,
        only_id,
    )
    for guess in guesses:
        if (more := guess(sample, found)) and not _denied(sample, more, counts=counts):
            return found | more
    return found


def as_many_as_missing(sample: Sample, found: Found) -> Found:
    """Give the parts that are missing the columns that are left over, if they are as many."""
    missing, rest = [p for p in PARTS if p not in found], left_over(sample, found)
    rest = rest if sample.names else without_times(sample, rest)
    if len(missing) != len(rest) or len(missing) == len(PARTS):
        return {}
    return dict(zip(missing, rest, strict=True))


def usual_order(sample: Sample, found: Found) -> Found:
    """Take the first three columns in the usual order, where no name says anything."""
    rest = left_over(sample, found)
    few = not sample.names or len(sample.columns) < MOST_LONG_COLUMNS
    if any(part in found for part in PARTS) or len(rest) < len(PARTS) or not few:
        return {}
    return dict(zip(PARTS, rest, strict=False))


def only_numbers(sample: Sample, found: Found) -> Found:
    """Take the only column of numbers that is left over as the rating, if that is all missing."""
    rest = [i for i in left_over(sample, found) if sample.columns[i].mostly_numbers]
    is_rating = "user" in found and "item" in found and "rating" not in found
    return {"rating": rest[0]} if is_rating and len(rest) == 1 else {}


def only_id(sample: Sample, found: Found) -> Found:
    """Take the only column that is called an id and comes again as the item, if that is missing."""
    if not sample.names or "item" in found or "user" not in found or "rating" not in found:
        return {}
    ids = [i for i in left_over(sample, found) if names_an_id(sample.names[i])]
    again = [i for i in ids if sample.columns[i].n_distinct < len(sample.columns[i].filled)]
    return {"item": ids[0]} if len(ids) == 1 and again else {}


def how_often(sample: Sample, rest: Sequence[int]) -> int:
    """Return the one of some columns that says how often something was chosen; -1 if none does."""
    named = [i for i in rest if sample.names and plain_name(sample.names[i]) in COUNTS]
    whole = [i for i in named if _are_counts(sample.columns[i])]
    return whole[0] if len(named) == len(whole) == 1 else -1


def _are_counts(column: Cells) -> bool:
    return bool(len(column.values)) and not column.has_fractions and column.values.min() > 0


def without_times(sample: Sample, rest: Sequence[int]) -> list[int]:
    """Return those of some columns whose values are no times."""
    return [i for i in rest if not looks_like_timestamp(sample.columns[i].texts)]


def _denied(sample: Sample, guess: Found, *, counts: bool) -> bool:
    if not sample.names:
        return False
    plain = {part: plain_name(sample.names[i]) for part, i in guess.items()}
    if any(name in NO_PARTS for name in plain.values()):
        return True
    rating = plain.get("rating", "")
    return rating.endswith("id") or (rating in COUNTS and not counts)


TIMES = NAMES["timestamp"]
