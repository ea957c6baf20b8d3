"""Slow, dense definitions in plain numpy that the fast code is compared with.

Nothing here imports mfspark: each function is written from the formula in its docstring, one user,
item or pair at a time.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

# --- evaluation ---------------------------------------------------------------------------------


def ranking_of_user(ranked: list[int], relevant: set[int], k: int) -> dict[str, float]:
    """Metrics of one user's list, best item first, against a non-empty set of relevant items.

    DCG = sum over hits of 1 / log2(rank + 1); AP = mean over min(k, |relevant|) of precision@hit.
    """
    top = ranked[:k]
    is_hit = [item in relevant for item in top]
    most = min(k, len(relevant))
    dcg = sum(1 / np.log2(rank + 1) for rank, hit in enumerate(is_hit, 1) if hit)
    ideal = sum(1 / np.log2(rank + 1) for rank in range(1, most + 1))
    precisions = [sum(is_hit[:rank]) / rank for rank, hit in enumerate(is_hit, 1) if hit]
    return {
        "precision": sum(is_hit) / k,
        "recall": sum(is_hit) / len(relevant),
        "recall_capped": sum(is_hit) / most,
        "ndcg": float(dcg / ideal),
        "hit_rate": float(any(is_hit)),
        "mrr": next((1 / rank for rank, hit in enumerate(is_hit, 1) if hit), 0.0),
        "map": sum(precisions) / most,
    }


def mean_interval(values: list[float]) -> tuple[float, float, float]:
    """Mean and mean -+ 1.96 s / sqrt(n), cut to [0, 1]."""
    x = np.array(values)
    half = 1.96 * x.std(ddof=1) / np.sqrt(len(x))
    return float(x.mean()), max(0.0, float(x.mean() - half)), min(1.0, float(x.mean() + half))


def clustered_interval(losses: dict[str, list[float]]) -> tuple[float, float, float]:
    """Mean loss L and L -+ 1.96 sqrt(sum_u (S_u - L n_u)^2) / n: the users are the clusters."""
    everything = np.concatenate([np.array(values) for values in losses.values()])
    mean, n = everything.mean(), len(everything)
    residuals = [sum(values) - mean * len(values) for values in losses.values()]
    half = 1.96 * np.sqrt(np.sum(np.square(residuals))) / n
    return float(mean), max(0.0, float(mean - half)), float(mean + half)


# --- kernels ------------------------------------------------------------------------------------
#
# Ratings are a dense float64 matrix R (users, items); NaN means not rated.


def ridge_rows(
    R: np.ndarray,
    F: np.ndarray,
    reg: float,
    prior_count: float = 0.0,
    last_damping: float | None = None,
) -> tuple[np.ndarray, float]:
    """Solve (sum_i f_i f_i' + reg (n_u + prior_count) I) w_u = sum_i f_i r_ui a row at a time.

    Rows without ratings are 0. `last_damping` takes the place of the last diagonal entry.
    F: features (items, k). Returns the solutions (users, k) and sum (r_ui - w_u . f_i)^2.
    """
    W, loss = np.zeros((len(R), F.shape[1])), 0.0
    for u, ratings in enumerate(R):
        rated = ~np.isnan(ratings)
        if rated.any():
            f, r = F[rated], ratings[rated]
            penalty = reg * (rated.sum() + prior_count) * np.eye(F.shape[1])
            if last_damping is not None:
                penalty[-1, -1] = last_damping
            W[u] = np.linalg.solve(f.T @ f + penalty, f.T @ r)
            loss += float(np.sum((r - f @ W[u]) ** 2))
    return W, loss


def ials_rows(W: np.ndarray, Y: np.ndarray, reg: float, alpha: float) -> tuple[np.ndarray, float]:
    """Solve every row of min sum_i c (p - x.y)^2 + reg (alpha n_u + n_items) |x|^2 over all cells.

    W: extra confidence (users, items), 0 where not chosen, so c = 1 + w and p = (w > 0). Y: factors
    (items, k). Returns the solutions (users, k) and the weighted sum of squared errors.
    """
    X = np.zeros((len(W), Y.shape[1]))
    C, P = 1 + W, (W > 0).astype(float)
    for u in range(len(W)):
        penalty = reg * (alpha * P[u].sum() + W.shape[1]) * np.eye(Y.shape[1])
        X[u] = np.linalg.solve(Y.T @ (C[u, :, None] * Y) + penalty, Y.T @ (C[u] * P[u]))
    return X, float(np.sum(C * (P - X @ Y.T) ** 2))


def damped_biases(R: np.ndarray, mean: float, other_bias: np.ndarray, damping: float) -> np.ndarray:
    """b_u = sum_i (r_ui - mean - b_i) / (damping + n_u); 0 without ratings."""
    rated = ~np.isnan(R)
    total = np.where(rated, R - mean - other_bias, 0.0).sum(1)
    return np.divide(total, damping + rated.sum(1), out=np.zeros(len(R)), where=rated.any(1))


Parameters = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def mf_gradients(R: np.ndarray, parameters: Parameters, mean: float, reg: float) -> Parameters:
    """Gradients of sum (r - mean - b_u - c_i - x_u.y_i)^2 + reg (|x_u|^2 + |y_i|^2 + b_u^2 + c_i^2)
    for X, Y, b, c. The sum is over ratings: a user with two of them is regularised twice.
    """
    X, Y, b, c = parameters
    gX, gY, gb, gc = (np.zeros_like(a) for a in parameters)
    for u, i in np.argwhere(~np.isnan(R)):
        e = R[u, i] - mean - b[u] - c[i] - X[u] @ Y[i]
        gX[u] += -2 * e * Y[i] + 2 * reg * X[u]
        gY[i] += -2 * e * X[u] + 2 * reg * Y[i]
        gb[u] += -2 * e + 2 * reg * b[u]
        gc[i] += -2 * e + 2 * reg * c[i]
    return gX, gY, gb, gc


def descend(
    R: np.ndarray,
    start: Parameters,
    steps: int,
    optimizer: str,
    rate: float,
    mean: float,
    reg: float,
) -> Parameters:
    """Full-batch steps of gradient descent, Adagrad (Duchi 2011) or Adam (Kingma & Ba 2015)."""
    values = [np.array(a, np.float64) for a in start]
    m, v = [np.zeros_like(a) for a in values], [np.zeros_like(a) for a in values]
    for t in range(1, steps + 1):
        X, Y, b, c = values
        gradients = mf_gradients(R, (X, Y, b, c), mean, reg)
        if optimizer == "sgd":
            moves = list(gradients)
        elif optimizer == "adagrad":
            v = [s + g**2 for s, g in zip(v, gradients, strict=True)]
            moves = [g / (np.sqrt(s) + 1e-10) for g, s in zip(gradients, v, strict=True)]
        else:
            m = [0.9 * s + 0.1 * g for s, g in zip(m, gradients, strict=True)]
            v = [0.999 * s + 0.001 * g**2 for s, g in zip(v, gradients, strict=True)]
            moves = [
                (s / (1 - 0.9**t)) / (np.sqrt(q / (1 - 0.999**t)) + 1e-8)
                for s, q in zip(m, v, strict=True)
            ]
        values = [a - rate * move for a, move in zip(values, moves, strict=True)]
    return values[0], values[1], values[2], values[3]


def textbook_step(
    R: np.ndarray, X: np.ndarray, Y: np.ndarray, rate: float, reg: float, objective: str
) -> tuple[np.ndarray, np.ndarray]:
    """One step of gradient descent on `squares`, |E|^2 + reg (|X|^2 + |Y|^2), or on `norm`,
    |E| + reg (|X| + |Y|), with E = R - X Y' where there is a rating.
    """
    E = np.where(np.isnan(R), 0.0, R - X @ Y.T)
    if objective == "squares":
        gradients = -2 * E @ Y + 2 * reg * X, -2 * E.T @ X + 2 * reg * Y
    else:
        size, of_x, of_y = (np.linalg.norm(a) for a in (E, X, Y))
        gradients = -E @ Y / size + reg * X / of_x, -E.T @ X / size + reg * Y / of_y
    return X - rate * gradients[0], Y - rate * gradients[1]


def best_of_row(scores: np.ndarray, n: int) -> list[int]:
    """Columns of the n highest scores, best first, ties to the lower column; -inf is left out."""
    order = sorted(range(len(scores)), key=lambda column: (-scores[column], column))
    return [column for column in order if scores[column] > -np.inf][:n]


def cosine_neighbors(R: np.ndarray, k: int, min_support: int) -> list[list[tuple[int, float, int]]]:
    """(neighbor, similarity, items in common) of each user: r_u . r_v / (|r_u| |r_v|), unrated = 0.

    A user is never its own neighbor; without enough items in common there is no neighbor. Ratings
    that are all zero have no direction: similarity 0. Ranked by sign * similarity^2 as fractions,
    which are exact, so that ties are ties.
    """
    rated = ~np.isnan(R)
    exact = [[Fraction(float(x)) for x in row] for row in np.nan_to_num(R)]
    squares = [sum(x * x for x in row) for row in exact]
    lists = []
    for u in range(len(R)):
        common = (rated[u] & rated).sum(1)
        found = []
        for v in range(len(R)):
            if v != u and common[v] >= min_support:
                dot = sum(x * y for x, y in zip(exact[u], exact[v], strict=True))
                found.append((dot * abs(dot) / (squares[u] * squares[v] or 1), v))
        found.sort(key=lambda pair: (-pair[0], pair[1]))
        lists.append(
            [(v, math.copysign(math.sqrt(abs(s)), s), int(common[v])) for s, v in found[:k]]
        )
    return lists


def similarity_matrix(
    R: np.ndarray,
    measure: str,
    biases: tuple[float, np.ndarray, np.ndarray] | None = None,
    weighting: str = "none",
) -> np.ndarray:
    """Similarity of every two rows, a pair at a time; NaN where they share nothing.

    biases: mu, b of the rows, b of the columns, for pearson_baseline.
    """
    X = np.array(R, np.float64)
    if weighting != "none":
        X = weighted_ratings(X, weighting)
    if measure == "pearson_baseline":
        assert biases is not None
        X = X - biases[0] - biases[1][:, None] - biases[2]
    if measure == "adjusted_cosine":
        X = X - np.nanmean(X, axis=0)
    S = np.full((len(X), len(X)), np.nan)
    for u, x in enumerate(X):
        for v, y in enumerate(X):
            if (both := ~np.isnan(x) & ~np.isnan(y)).any():
                S[u, v] = pair_similarity(measure, x, y, both)
    return S


def pair_similarity(measure: str, x: np.ndarray, y: np.ndarray, both: np.ndarray) -> float:
    """The measures as their papers write them; 0 where there is no variance or no length."""
    a, b = x[both], y[both]
    if measure == "jaccard":
        return both.sum() / (~np.isnan(x) | ~np.isnan(y)).sum()
    if measure == "msd":
        return 1 / (np.mean((a - b) ** 2) + 1)
    if measure == "pearson":
        a, b = a - a.mean(), b - b.mean()
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    if measure == "cosine":
        lengths = np.linalg.norm(np.nan_to_num(x)) * np.linalg.norm(np.nan_to_num(y))
    return float(a @ b / lengths) if lengths > 1e-9 else 0.0


def weighted_ratings(R: np.ndarray, weighting: str) -> np.ndarray:
    """TF-IDF and BM25 weights of ratings, documents being the rows."""
    R = np.maximum(R, 0)
    idf = np.maximum(np.log(len(R) / (1 + (~np.isnan(R)).sum(0))), 0)
    if weighting == "tfidf":
        return np.sqrt(R) * idf
    length = np.nansum(R, 1, keepdims=True)
    return 101 * R / (100 * (0.2 + 0.8 * length / length.mean()) + R) * idf


def knn_predictions(
    R: np.ndarray,
    S: np.ndarray,
    k: int,
    aggregation: str,
    *,
    among: str = "all",
    min_k: int = 1,
    damping: float = 0.0,
    biases: tuple[float, np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Predictions of all pairs (row, column) from neighbors of the row, a pair at a time.

    S: similarity of rows, NaN or -inf where they are no neighbors. all: over the k nearest, those
    without a rating left out; raters: over the k nearest of those with one. Ties go to the lower
    row. biases: mu, b of the rows, b of the columns. NaN where fewer than min_k count.
    """
    P = np.full(R.shape, np.nan)
    expected, spread = centers_and_spreads(R, aggregation, biases)
    drawn = damping if aggregation in ("centered", "zscore", "baseline") else 0.0
    for x in range(len(R)):
        near = [y for y in range(len(R)) if y != x and np.isfinite(S[x, y])]
        near.sort(key=lambda y: (-S[x, y], y))
        for c in range(R.shape[1]):
            if among == "all":
                rated = [y for y in near[:k] if not np.isnan(R[y, c])]
            else:
                rated = [y for y in near if not np.isnan(R[y, c])][:k]
            weight = {y: 1.0 if aggregation == "mean" else float(S[x, y]) for y in rated}
            rated = [y for y in rated if weight[y] > 0]
            if rated and len(rated) >= min_k:
                weighted = sum(weight[y] * (R[y, c] - expected[y, c]) / spread[y] for y in rated)
                q = weighted / (sum(weight[y] for y in rated) + drawn)
                P[x, c] = expected[x, c] + spread[x] * q
    return P


def centers_and_spreads(
    R: np.ndarray, aggregation: str, biases: tuple[float, np.ndarray, np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray]:
    """What every pair is centered on, and the spread of every row around it."""
    expected, spread = np.zeros(R.shape), np.ones(len(R))
    if aggregation == "baseline":
        assert biases is not None
        expected = biases[0] + biases[1][:, None] + biases[2]
    if aggregation in ("centered", "zscore"):
        for x, row in enumerate(R):
            own = row[~np.isnan(row)]
            if len(own):
                expected[x] = own.mean()
                if aggregation == "zscore":
                    spread[x] = own.std() if len(set(own)) > 1 else np.nanstd(R) or 1.0
    return expected, spread


def summed_similarities(R: np.ndarray, S: np.ndarray, k: int) -> np.ndarray:
    """sum s_xy r_yc over those of the k nearest with s > 0 and a rating; NaN where none is."""
    total = np.full(R.shape, np.nan)
    for x in range(len(R)):
        near = [y for y in range(len(R)) if y != x and np.isfinite(S[x, y])]
        near.sort(key=lambda y: (-S[x, y], y))
        for c in range(R.shape[1]):
            rated = [y for y in near[:k] if not np.isnan(R[y, c]) and S[x, y] > 0]
            if rated:
                total[x, c] = sum(S[x, y] * R[y, c] for y in rated)
    return total


def elastic_net(X: np.ndarray, j: int, l1: float, l2: float) -> np.ndarray:
    """Minimise |x_j - X w|^2 / 2 + l2 |w|^2 / 2 + l1 sum w over w >= 0, w_j = 0, step by step.

    Cyclic coordinate descent over the residual in the users, as textbooks have it (Friedman,
    Hastie & Tibshirani 2010), until nothing moves.
    """
    w, residual = np.zeros(X.shape[1]), X[:, j].astype(np.float64)
    for _ in range(20_000):
        before = w.copy()
        for i in range(X.shape[1]):
            if i == j or not X[:, i].any():
                continue
            x = X[:, i]
            new = max(0.0, (x @ residual + (x @ x) * w[i] - l1) / (x @ x + l2))
            residual += x * (w[i] - new)
            w[i] = new
        if np.abs(w - before).max() < 1e-12:
            break
    return w


def shallow_autoencoder(X: np.ndarray, l2: float) -> np.ndarray:
    """Minimise |X - X B|^2 + l2 |B|^2 with a diagonal of 0: column by column, without item j.

    Leaving out what must be 0 gives ridge regressions, whose solution needs no inverse of Steck's.
    """
    n = X.shape[1]
    B = np.zeros((n, n))
    for j in range(n):
        others = np.arange(n) != j
        A = X[:, others]
        B[others, j] = np.linalg.solve(A.T @ A + l2 * np.eye(n - 1), A.T @ X[:, j])
    return B


def greedy_choice(
    items: list[int],
    scores: list[float],
    n: int,
    share: float,
    max_per_genre: int,
    vectors: np.ndarray,
    genres: np.ndarray,
) -> list[int]:
    """Choose n of the places of one list, one after the other: maximal marginal relevance."""
    low, high = min(scores, default=0.0), max(scores, default=0.0)
    relevance = [(s - low) / (high - low) if high > low else 1.0 for s in scores]
    chosen: list[int] = []
    while len(chosen) < min(n, len(items)):
        left = [p for p in range(len(items)) if p not in chosen]
        held = [sum(bool(genres[items[c], g]) for c in chosen) for g in range(genres.shape[1])]
        free = [
            p for p in left
            if not max_per_genre
            or all(held[g] < max_per_genre for g in np.flatnonzero(genres[items[p]]))
        ]  # fmt: skip

        def gain(place: int) -> float:
            mine = vectors[items[place]].astype(float)
            alike = [float(mine @ vectors[items[c]].astype(float)) for c in chosen]
            return (1 - share) * relevance[place] - share * max(alike, default=0.0)

        chosen.append(max(free or left, key=gain))
    return chosen
