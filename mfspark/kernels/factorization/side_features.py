"""Attributes as features: genres and years of items; whatever is told of users."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from mfspark.kernels.arrays.tile import Array

Features = tuple[Array, tuple[str, ...]]
"""Features float32 (rows, A) and what each column stands for."""

_YEAR = re.compile(r"\((\d{4})\)\s*$")
_MOST = 256  # attributes kept, the commonest first
_BANDS = 10  # into which the numbers of an attribute are sorted, where it has more of them


def item_attributes(
    titles: Sequence[str | None], genres: Sequence[Sequence[str] | None]
) -> Features:
    """Return the features of items.

    An item with m genres has 1/sqrt(m) for each; a title that ends in a year, such as "Heat
    (1995)", has 1 for the year and 1 for its decade. Attributes of one item alone are left out.
    """
    return _features(
        [
            _genre_tokens(names) | _year_tokens(title)
            for title, names in zip(titles, genres, strict=True)
        ]
    )


def user_attributes(attributes: Sequence[Sequence[str] | None]) -> Features:
    """Return the features of users, whose attributes are texts "name=value".

    A user has 1 for each of them. Where an attribute has only numbers for values, and more than ten
    different ones (ages, say), users with values between the same deciles share a feature instead.
    Attributes of one user alone are left out.
    """
    pairs = [[text.partition("=")[::2] for text in texts or ()] for texts in attributes]
    values: dict[str, list[str]] = defaultdict(list)
    for mine in pairs:
        for name, value in mine:
            values[name].append(value)
    bands = {name: _bands(found) for name, found in values.items()}
    return _features([{_user_token(bands[n], n, v): 1.0 for n, v in mine} for mine in pairs])


def _features(tokens: Sequence[Mapping[str, float]]) -> Features:
    counts = Counter(token for weights in tokens for token in weights)
    common = sorted((t for t, n in counts.items() if n > 1), key=lambda t: (-counts[t], t))
    column = {token: a for a, token in enumerate(common[:_MOST])}
    features = np.zeros((len(tokens), len(column)), np.float32)
    for row, weights in enumerate(tokens):
        for token, weight in weights.items():
            if token in column:
                features[row, column[token]] = weight
    return features, tuple(column)


def _genre_tokens(genres: Sequence[str] | None) -> dict[str, float]:
    names = sorted(set(genres)) if genres is not None else []
    return {f"genre {name}": len(names) ** -0.5 for name in names}


def _year_tokens(title: str | None) -> dict[str, float]:
    match = _YEAR.search(title or "")
    return {f"year {match[1]}": 1.0, f"decade {match[1][:3]}0s": 1.0} if match else {}


def _bands(values: Sequence[str]) -> Array | None:
    """Return the lower ends of the bands values are sorted into; None: they stay as they are."""
    if len(set(values)) <= _BANDS:
        return None
    try:
        numbers = np.array([float(value) for value in values])
    except ValueError:
        return None
    if not np.isfinite(numbers).all():
        return None
    return np.unique(np.sort(numbers)[np.arange(_BANDS) * len(numbers) // _BANDS])


def _user_token(bands: Array | None, name: str, value: str) -> str:
    if bands is None:
        return f"{name} {value}"
    return f"{name} from {bands[np.searchsorted(bands, float(value), side='right') - 1]:g}"
