"""What an item's raters say about the item, whatever they gave it: a prior mean for its row.

Which users rated an item tells much about it before any rating is looked at (the observation of
SVD++, Koren 2008, here on the side of the items). So the row z_i = (y_i, b_i) of an item is drawn
not to 0 but to

    m_i = 1/sqrt(n_i)  sum_(u rated i) v_u

with a vector v_u, the rater prior, for every user. Given the rows, these are a ridge regression:

    minimise  sum_i (n_i + prior_count) |z_i - m_i|^2 + sum_u (n_u + damping) |v_u|^2

of which one step an epoch is taken, for all users at once, each by a bound of its own on the
curvature (separable surrogates, De Pierro 1995): with w_i = n_i + prior_count,

    v_u += 1.8 g_u / c_u,   g_u = sum_i w_i/sqrt(n_i) (z_i - m_i) - (n_u + damping) v_u,
                            c_u = sum_i w_i + n_u + damping            (i: the items u rated)

Any factor below 2 makes the sum fall; 1.8 went further in as many epochs than 1.
"""

import numpy as np

from mfspark.kernels.arrays.tile import Array, Arrays

_RELAXATION = 1.8


def item_rows(items: Arrays) -> Array:
    """Return (y_i, b_i) of a block, float32 (n_items, k + 1)."""
    return np.column_stack([items["factors"], items["bias"]])


def prior_means(items: Arrays) -> Array:
    """Return m_i of a block, float32 (n_items, k + 1); 0 before the first step."""
    return items.get("prior_mean", np.zeros_like(item_rows(items)))


def item_pulls(items: Arrays, prior_count: float) -> Array:
    """Return what each item adds to its raters' sums: its part of g_u (k + 1), and of c_u (1)."""
    n = items["n"].astype(np.float32)
    weight = (n + np.float32(prior_count)) * (n > 0)
    strength = weight / np.sqrt(np.maximum(n, 1))
    pull = strength[:, None] * (item_rows(items) - prior_means(items))
    return np.column_stack([pull, weight])


def next_rater_priors(users: Arrays, pulls: Array, damping: float) -> Array:
    """Return v_u after one step, float32 (n_users, k + 1).

    pulls float32 (n_users, k + 2): the sums of `item_pulls` over the items a user rated.
    """
    ridge = (users["n"].astype(np.float32) + np.float32(damping))[:, None]
    pull, curvature = pulls[:, :-1], pulls[:, -1:] + ridge
    v = users.get("rater_prior", np.zeros_like(pull))
    step = np.divide(pull - ridge * v, curvature, out=np.zeros_like(pull), where=curvature > 0)
    return v + np.float32(_RELAXATION) * step


def next_prior_means(items: Arrays, sums: Array) -> Array:
    """Return m_i, float32 (n_items, k + 1), from the sums of v_u over each item's raters."""
    n = items["n"].astype(np.float32)
    return sums / np.sqrt(np.maximum(n, 1))[:, None]
