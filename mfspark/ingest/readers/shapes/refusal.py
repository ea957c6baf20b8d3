"""What is said where no reading of a table is clearly best."""

import shlex
from collections.abc import Mapping, Sequence

from mfspark.errors import InputError
from mfspark.ingest.readers.shapes.cells import Cells, Sample
from mfspark.ingest.readers.shapes.guesses import PARTS, left_over
from mfspark.ingest.readers.shapes.names import UNSURE, plain_name
from mfspark.ingest.readers.shapes.readings import FATAL, Long, objections, weight
from mfspark.ingest.readers.shapes.wide import Wide

_FEW = 10  # rows, in which nobody need come again


def unclear(
    sample: Sample, found: Mapping[str, int], readings: Sequence[tuple[Long | Wide, str]]
) -> InputError:
    """Say what cannot be told, what speaks against each reading, and the options that decide.

    A reading comes with its description. A table that is hopelessly wide is not spoken of.
    """
    missing = [p for p in PARTS if p not in found or _is_unsure(sample, p, found[p])]
    missing = missing or ["user"]
    lines = [
        f"{sample.path}: cannot tell which column is the {' or the '.join(missing)} "
        f"(found: {sample.shown})"
    ]
    for reading, description in readings:
        if isinstance(reading, Wide) and weight(reading) >= FATAL:
            continue
        against = "; ".join(text for text, _ in objections(reading)) or "another reading fits too"
        lines.append(f"  {description.partition(', ignored')[0]}: {against}")
    hint = f'set ingest.columns.{missing[0]} = "NAME", or a position such as "1"'
    rest = left_over(sample, dict(found))
    if example := _example(sample, missing, rest):
        hint += f" ({example})"
    if "user" in missing and "rating" in found:
        hint += "; where each file is what one person rated, --set ingest.columns.user=-"
    if missing == ["rating"] or len(sample.columns) <= len(PARTS):
        hint += "; for choices without ratings, --set ingest.feedback=implicit"
    hint += "; for one row a user and one column an item, --set ingest.format=wide_csv"
    return InputError("\n".join(lines), hint + "; if the delimiter is at fault, set ingest.format")


def _example(sample: Sample, missing: Sequence[str], rest: Sequence[int]) -> str:
    """Return the options that name all parts that are missing, as they might be.

    Users come again; without a column that does there is no example.
    """
    free, options = list(rest), list[str]()
    for part in missing:
        fit = [i for i in free if part != "user" or _comes_again(sample.columns[i])]
        if not fit:
            return ""
        free.remove(fit[0])
        column = (sample.names[fit[0]] if sample.names else "") or str(fit[0] + 1)
        options.append(f"--set ingest.columns.{part}={shlex.quote(column)}")
    return " ".join(options)


def _comes_again(column: Cells) -> bool:
    n = len(column.filled)
    return 0 < n < _FEW or 1 < column.n_distinct <= n // 2


def _is_unsure(sample: Sample, part: str, i: int) -> bool:
    return (
        part == "user" and i >= 0 and bool(sample.names) and plain_name(sample.names[i]) in UNSURE
    )
