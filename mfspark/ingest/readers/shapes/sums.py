"""Lines of a sheet, rows or columns, that sum up the others: found by arithmetic, not by name.

      Heat  Up  Big  (blank)         a line is held against the lines before it, behind it, all
Ann    4    5    3     12            others, and those since the last such line; it counts as
Bob    2    4    3      9            their sum, mean or number where nearly all of its cells are
x      3    4.5  3     10.5          that, and chance would hardly make them so
"""

from collections.abc import Iterator

import numpy as np

_NEARLY_ALL = 0.9  # of the cells of a line
_CHANCE = 1e-3  # that any line of a table looks like a sum and is none
_CHANCE_OF_A_LINE = 1e-6  # that a column is a line over the sum of others; many sums are tried
_COVERED = 1 / 3  # of the cells below which there is something to sum up are filled
_FEWEST_CELLS = 3
_POOL = 2000  # cells that show how common a value is
_NO_WEIGHT = 0.05  # of the largest; less may be rounding
_EXTREMES = ("largest", "smallest", "median", "deviation", "number", "sum", "mean")


def summing_lines(table: np.ndarray, finer: np.ndarray | None = None) -> dict[int, str]:
    """Return the lines of a table that sum up others, each with what it is of them.

    `table` is float64 (n_lines, n_cells), NaN where a cell is blank. `finer`, bool (n_lines), marks
    a line that is written with more digits than any other: it is none of them, so that what it may
    be by chance does not count.
    """
    finer = np.zeros(len(table), bool) if finer is None else finer
    found: dict[int, str] = {}
    if len(table) < _FEWEST_CELLS or table.shape[1] < _FEWEST_CELLS:
        return found
    decimals = np.array([_decimals(line) for line in table])
    room = (0.5 * 10.0**-decimals + 1e-9)[:, None]
    while True:
        new = _next_line(table, room, finer, found)
        if new is None:
            return found
        found |= new


def is_extreme(table: np.ndarray, line: int, others: list[int]) -> str:
    """Return what a line, whose name says that it sums up others, is of them; "" if nothing.

    Among the words are those that a line of ratings may well be by chance, such as the largest.
    """
    known = np.isfinite(table[line])
    known &= np.isfinite(table[others]).any(0)
    if not known.any() or len(others) < 2:
        return ""
    values, cells = table[line, known], table[others][:, known]
    room = 0.5 * 10.0 ** -_decimals(values) + 1e-9
    several = np.isfinite(cells).sum(0)
    expected = dict(
        zip(
            _EXTREMES,
            (
                np.nanmax(cells, 0),
                np.nanmin(cells, 0),
                np.nanmedian(cells, 0),
                np.nanstd(cells, 0) * np.sqrt(several / np.maximum(several - 1, 1)),
                several,
                np.nansum(cells, 0),
                np.nanmean(cells, 0),
            ),
            strict=True,
        )
    )
    fits = {word: (np.abs(values - e) <= room).mean() for word, e in expected.items()}
    best = max(fits, key=lambda word: fits[word])
    return f"the {best} of the others" if fits[best] >= _NEARLY_ALL else ""


def derived_from_sums(values: np.ndarray, sums: np.ndarray) -> str:
    """Say how a line comes from the sums of others: "" if it does not, else as share or rank.

    Both are float64 (n,), NaN where blank; shares are sums on another scale, as percentages are.
    """
    both = np.isfinite(values) & np.isfinite(sums)
    x, y = sums[both], values[both]
    if min(len(np.unique(y)), len(np.unique(x))) < 2 * _FEWEST_CELLS:
        return ""
    for ranked in (-x, x):
        first = np.searchsorted(np.sort(ranked), ranked) + 1  # 1, 2, 2, 4
        dense = np.unique(ranked, return_inverse=True)[1] + 1  # 1, 2, 2, 3
        if max((y == first).mean(), (y == dense).mean()) >= _NEARLY_ALL:
            return "the rank of the sums of the others"
    slope, intercept = np.polyfit(x, y, 1)
    room = 0.5 * 10.0 ** -_decimals(y) + 1e-9
    hits = np.abs(slope * x + intercept - y) <= 2 * room
    # Two of the points are on some line, whatever they are; a coarse scale shows little.
    n_points = np.unique(np.stack([x[hits], y[hits]]), axis=1).shape[1]
    chance = (4 * room / np.ptp(y)) ** (n_points - 2)
    no_chance = hits.mean() >= _NEARLY_ALL and chance < _CHANCE_OF_A_LINE
    return "the sum of the others on another scale" if no_chance else ""


def is_weighted_sum(values: np.ndarray, others: np.ndarray) -> bool:
    """Return whether a line is the sum of others with weights above 0, as marks are weighed.

    `values` is float64 (n,), `others` float64 (n_lines, n), NaN where blank. Only a line that is
    written finer than the others can be told from one of those it sums up.
    """
    known = np.isfinite(values) & np.isfinite(others).all(0)
    y, x = values[known], others[:, known]
    n_weights = len(others) + 1  # and what all have
    if len(others) < 2 or len(y) < 3 * n_weights + _FEWEST_CELLS:
        return False
    digits = _decimals(y)
    if digits <= max(_decimals(line) for line in others):
        return False
    terms = np.vstack([x, np.ones(len(y))]).T
    weights, _, rank, _ = np.linalg.lstsq(terms, y, rcond=None)
    close = np.abs(terms @ weights - y) <= 10.0**-digits + 1e-9
    weights = weights[:-1] / max(np.abs(weights[:-1]).max(), 1e-9)
    above_0 = (weights > -_NO_WEIGHT).all() and (weights > _NO_WEIGHT).sum() > 1
    return bool(rank == n_weights and above_0 and close.mean() >= _NEARLY_ALL)


def _next_line(
    table: np.ndarray, room: np.ndarray, finer: np.ndarray, found: dict[int, str]
) -> dict[int, str] | None:
    rest = np.array([n not in found for n in range(len(table))])
    known = np.isfinite(table)
    for block in _blocks(table, rest, sorted(found)):
        for word, expected, possible in block:
            informative = possible & known
            hits = informative & (np.abs(table - expected) <= room) & rest[:, None]
            n_cells = (informative & rest[:, None]).sum(1)
            n_hits = hits.sum(1)
            likely = (n_hits >= _FEWEST_CELLS) & (n_hits >= _NEARLY_ALL * n_cells)
            likely &= n_cells >= _COVERED * possible.sum(1)
            for line in np.flatnonzero(likely):
                one = int(line), expected[line], hits[line], room[line, 0]
                if finer[line] or _is_no_chance(table, *one):
                    return {int(line): f"the {word} of the others"}
    return None


Expected = tuple[str, np.ndarray, np.ndarray]
"""What lines might be of others, what their cells would be then, and which of them can tell."""


def _blocks(table: np.ndarray, rest: np.ndarray, found: list[int]) -> Iterator[list[Expected]]:
    """Yield what the cells of each line would be as a sum of the lines before it, and so on."""
    known = np.isfinite(table)
    counted = known & rest[:, None]
    values = np.where(counted, table, 0.0)
    parts = [counted.astype(np.float64), values, values**2]
    before = [np.cumsum(p, 0) - p for p in parts]
    total = [p.sum(0) for p in parts]
    behind = [t - b - p for t, b, p in zip(total, before, parts, strict=True)]
    yield _expected(before)
    yield _expected(behind)
    yield _expected([b + a for b, a in zip(before, behind, strict=True)])
    if found:
        last = np.searchsorted(found, np.arange(len(table))) - 1
        start = np.where(last >= 0, np.array(found)[last], 0)
        yield _expected([b - b[start] for b in before])


def _expected(parts: list[np.ndarray]) -> list[Expected]:
    number, sums, squares = parts
    several, mean = number >= 2, sums / np.maximum(number, 1)
    differ = several & (squares - number * mean**2 > 1e-6)  # equal values have any mean
    return [("sum", sums, several), ("mean", mean, differ), ("number", number, several)]


def _is_no_chance(
    table: np.ndarray, line: int, expected: np.ndarray, hits: np.ndarray, room: float
) -> bool:
    """Return whether other cells of the table are too rarely what is expected of these.

    Equal cells count as one: somebody who gives 4 to everything is not the number of four others.
    """
    pool = np.delete(table, line, 0)
    pool = np.sort(pool[np.isfinite(pool)][:_POOL])
    cells = min((np.unique(found[hits].round(6)) for found in (table[line], expected)), key=len)
    among = np.searchsorted(pool, cells + room, "right") - np.searchsorted(pool, cells - room)
    common = np.maximum(among / max(1, len(pool)), 0.5 / (len(pool) + 1))
    return float(np.log(common).sum()) < np.log(_CHANCE / (9 * len(table)))


def _decimals(values: np.ndarray) -> int:
    """Return with how many digits behind the point numbers are written, up to 6."""
    known = values[np.isfinite(values)]
    for digits in range(6):
        if (np.abs(known * 10**digits - np.rint(known * 10**digits)) < 1e-6).all():
            return digits
    return 6
