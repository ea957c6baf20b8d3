"""Sums over the columns that two rows share, pair by pair; compiled."""

from mfspark.kernels.arrays.tile import Array
from mfspark.kernels.compiling import compiled

SUMS = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))
"""The powers (p, q) of each sum of `sum_shared`."""


@compiled
def sum_shared(
    starts: Array,
    columns: Array,
    x: Array,
    other_starts: Array,
    other_columns: Array,
    y: Array,
    row: Array,
    other: Array,
    rated: Array,
    values: Array,
    sums: Array,
) -> None:
    """Sum x_u^p x_v^q over shared columns, u = row[0], v = other[0], and so on.

    Rows as compressed sparse ones; equal entries of `row` stand together. rated and values float64
    (columns): zeros, to lay out a row in. sums float64 (pairs, SUMS): what is found. The columns of
    each v are gone through in order; those that u has not add 0.
    """
    laid_out = -1
    for pair in range(len(row)):
        u = row[pair]
        if u != laid_out:
            if laid_out >= 0:
                for at in range(starts[laid_out], starts[laid_out + 1]):
                    rated[columns[at]] = 0.0
                    values[columns[at]] = 0.0
            for at in range(starts[u], starts[u + 1]):
                rated[columns[at]] = 1.0
                values[columns[at]] = x[at]
            laid_out = u
        n = x_sum = y_sum = xx = xy = yy = 0.0
        v = other[pair]
        for at in range(other_starts[v], other_starts[v + 1]):
            both, x_i, y_i = rated[other_columns[at]], values[other_columns[at]], y[at]
            n += both
            x_sum += x_i
            y_sum += both * y_i
            xx += x_i * x_i
            xy += x_i * y_i
            yy += both * (y_i * y_i)
        sums[pair, 0], sums[pair, 1], sums[pair, 2] = n, x_sum, y_sum
        sums[pair, 3], sums[pair, 4], sums[pair, 5] = xx, xy, yy
