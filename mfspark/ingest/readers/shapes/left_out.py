"""Rows of a wide sheet that are no users, and columns of numbers that are no items, with reasons.

Row numbers, ids, totals, averages, ranks: told by arithmetic, and by name where that is sure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mfspark.ingest.readers.shapes.cells import Cells, is_number
from mfspark.ingest.readers.shapes.names import (
    NAMES,
    REMARKS,
    ROW_NUMBERS,
    names_an_id,
    names_an_index,
    plain_name,
)
from mfspark.ingest.readers.shapes.scale import FEWEST_ROWS, Scale, not_rated_codes
from mfspark.ingest.readers.shapes.sums import (
    derived_from_sums,
    is_extreme,
    is_weighted_sum,
    summing_lines,
)
from mfspark.ingest.readers.shapes.totals import may_say_total, says_total

_FEW, _MANY = 3, 12  # values: of a class or a group, and of marks
_ROWS_IN_ANY_ORDER = 10  # whose numbers are a count of them, and no ratings
_LEADING = 4  # columns at the left that may stand before the items: ages, years
_ENDS = 3  # rows above and below, where sums may stand that reach beyond any code
COUNTED = "numbers the rows"


def rows_left_out(columns: Sequence[Cells], user: int, numeric: Sequence[int]) -> dict[int, str]:
    """Return the rows of a sample that sum up the others, each with what it is of them.

    By their label, which stands in the user column or, where that is blank, in another one of
    text; and by their numbers.
    """
    if not numeric:
        return {}
    labels = _labels(columns, user)
    why = {row: "called a total" for row, label in enumerate(labels) if says_total(label)}
    maybe = _at_the_ends([says_total(text) or may_say_total(text) for text in labels]) - set(why)
    n = len(labels)
    ends = {*range(_ENDS), *range(n - _ENDS, n)} if n >= 4 * _ENDS else set[int]()
    people = [columns[i].without(maybe | ends | set(why)) for i in numeric]
    codes = not_rated_codes(people, range(len(people)))
    table = _table(columns, numeric, codes).T
    rest = [row for row in range(len(table)) if row not in why]
    finer = _written_finer([columns[i].texts for i in numeric], rest)
    # In so few rows a rare rating may look like a code, so codes count as ratings once more.
    for sheet in (table, _table(columns, numeric, ()).T) if codes else (table,):
        sums = summing_lines(sheet[rest], finer)
        why |= {rest[line]: word for line, word in sums.items() if rest[line] not in why}
    rest = [row for row in rest if row not in why and row not in maybe]
    for row in sorted(maybe - set(why)):
        a_person = len(maybe) == 1 and not why and len(np.unique(table[row])) == 1
        if not a_person and (word := is_extreme(table, row, rest)):
            why[row] = word
    return why


def _at_the_ends(marked: Sequence[bool]) -> set[int]:
    """Return the marked rows above and below all others, where a sheet is summed up."""
    others = [row for row, mark in enumerate(marked) if not mark]
    if not others:
        return set()
    return {*range(others[0]), *range(others[-1] + 1, len(marked))}


def _labels(columns: Sequence[Cells], user: int) -> list[str]:
    """Return what each row is called: its user, or where that is blank its first other text."""
    first = columns[user].texts if user >= 0 else [""] * len(columns[0].texts)
    return [
        label
        or next((c.texts[row] for c in columns if c.texts[row] and not is_number(c.texts[row])), "")
        for row, label in enumerate(first)
    ]


def columns_with_a_reason(
    names: Sequence[str], columns: Sequence[Cells], numeric: Sequence[int]
) -> dict[int, str]:
    """Return the columns of numbers that count the rows, are ids, or tell groups apart."""
    why = {i: COUNTED for i in numeric if _numbers_rows(names, columns, i, numeric[0])}
    for i in numeric:
        if i not in why and names and names_an_id(names[i]) and _are_ids(columns[i]):
            why[i] = "all different, as ids are"
    rest = [i for i in numeric if i not in why]
    many = [columns[i].n_distinct for i in rest]
    if many and np.median(many) >= _MANY:
        why |= {i: "few values beside many" for i in rest if columns[i].n_distinct <= _FEW}
    return why


def summing_columns(
    names: Sequence[str],
    columns: Sequence[Cells],
    inside: Sequence[int],
    numeric: Sequence[int],
    codes: tuple[float, ...],
) -> dict[int, str]:
    """Return the columns that sum up others, or derive from such sums, each with what it is.

    `inside` are the columns on the scale of the items; others may be totals as well.
    """
    table = _table(columns, range(len(columns)), codes)
    found: dict[int, str] = {}
    for skipped in range(min(_LEADING, len(inside))):
        rest = [i for i in inside[skipped:] if i not in found]
        found |= {rest[n]: word for n, word in summing_lines(table[rest]).items()}
    for i in numeric:
        rest = [k for k in inside if k != i and k not in found]
        if i not in found and names and may_say_total(names[i]):
            word = is_extreme(table, i, rest)
            found |= {i: word} if word else {}
    items = [i for i in inside if i not in found and len(np.unique(table[i])) > 1]
    for i in items:
        if is_weighted_sum(table[i], table[[k for k in items if k != i]]):
            found[i] = "a weighted sum of the others"
    named = [i for i, name in enumerate(names) if says_total(name) and columns[i].mostly_numbers]
    found |= _derived_columns(table, [i for i in inside if i not in found], [*found, *named])
    return found


def _derived_columns(
    table: np.ndarray, items: Sequence[int], totals: Sequence[int]
) -> dict[int, str]:
    """Return the columns that derive from totals, or from the sum of the columns before them."""
    found: dict[int, str] = {}
    first = list[np.ndarray]()  # sums of the first 0, 1, 2, ... columns that are kept
    total, n = np.zeros(table.shape[1]), 0
    for i in items:
        sums = [table[k] for k in totals] + [total - s for k, s in enumerate(first) if n - k > 1]
        word = next((word for s in sums if (word := derived_from_sums(table[i], s))), "")
        if word:
            found[i] = word
            continue
        first += [total] if n < _LEADING else []
        total, n = total + np.nan_to_num(table[i]), n + 1
    return found


def outside_scale(scale: Scale, numeric: Sequence[int]) -> dict[int, str]:
    """Return the columns that lie outside of the scale of the others."""
    reason = f"outside the scale {scale.low:g} to {scale.high:g} of the others"
    return {i: reason for i in numeric if i not in scale.inside}


def left_out_by_name(names: Sequence[str]) -> set[int]:
    """Return the columns whose names say that they are no items."""
    said = NAMES["timestamp"] | REMARKS
    return {i for i, name in enumerate(names) if plain_name(name) in said or says_total(name)}


def _table(columns: Sequence[Cells], which: Sequence[int], codes: tuple[float, ...]) -> np.ndarray:
    """Return float64 (n_columns, n_rows), NaN where a cell is no rating."""
    table = np.stack([columns[i].numbers for i in which])
    table[~np.isfinite(table) | np.isin(table, codes)] = np.nan
    return table


def _written_finer(columns: Sequence[Sequence[str]], rows: Sequence[int]) -> np.ndarray:
    """Mark the one of some rows whose numbers all have more digits behind the point than others.

    As where people give 4 and 5, and the averages below are 3.0 and 4.5. bool (rows).
    """
    digits = [[_digits(column[row]) for column in columns if column[row]] for row in rows]
    least, most = (np.array([f(row, default=0) for row in digits]) for f in (min, max))
    marks = np.zeros(len(rows), bool)
    if len(rows) > 1:
        finest = int(least.argmax())
        marks[finest] = least[finest] > np.delete(most, finest).max()
    return marks


def _digits(number: str) -> int:
    return len(number.replace(",", ".").partition(".")[2])


def is_row_index(name: str, column: Cells) -> bool:
    """Return whether a column is the index of the rows, as pandas and R write it beside others."""
    values = column.values
    follow = len(values) == len(column.texts) > 1 and bool((np.diff(values) == 1).all())
    return follow and values[0] in (0, 1) and names_an_index(name)


def _numbers_rows(names: Sequence[str], columns: Sequence[Cells], i: int, leftmost: int) -> bool:
    """Return whether a column counts the rows: whole numbers that follow one another.

    In a short sheet only from 0 or 1 on, and where the name says so or nothing but ids stands left.
    """
    values = columns[i].values
    n = len(values)
    if n < 2 or n < len(columns[i].texts):
        return False
    if (np.diff(values) == 1).all() and values[0] % 1 == 0:
        named = bool(names) and (plain_name(names[i]) in ROW_NUMBERS)
        fewest = 2 if named else FEWEST_ROWS - 2 if i == leftmost else FEWEST_ROWS
        return n >= FEWEST_ROWS or (values[0] in (0, 1) and n >= fewest)
    follow = bool((np.diff(np.sort(values)) == 1).all())
    return n >= _ROWS_IN_ANY_ORDER and follow and values.min() in (0, 1)


def _are_ids(column: Cells) -> bool:
    values = column.values
    whole = not column.has_fractions
    return whole and len(np.unique(values)) == len(values) == len(column.filled) >= FEWEST_ROWS
