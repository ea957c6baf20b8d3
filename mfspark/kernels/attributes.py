"""Attributes of items as features: genres, and the year at the end of a title."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mfspark.kernels.tile import Array

_YEAR = re.compile(r"\((\d{4})\)\s*$")
_MOST = 256  # attributes kept, the commonest first


def item_attributes(
    titles: Sequence[str | None], genres: Sequence[Sequence[str] | None]
) -> tuple[Array, tuple[str, ...]]:
    """Return features float32 (items, A) and what each column stands for.

    An item with m genres has 1/sqrt(m) for each; a title that ends in a year, such as "Heat
    (1995)", has 1 for the year and 1 for its decade. Attributes of one item alone are left out.
    """
    tokens = [
        _genre_tokens(names) | _year_tokens(title)
        for title, names in zip(titles, genres, strict=True)
    ]
    counts = Counter(token for weights in tokens for token in weights)
    common = sorted((t for t, n in counts.items() if n > 1), key=lambda t: (-counts[t], t))
    column = {token: a for a, token in enumerate(common[:_MOST])}
    features = np.zeros((len(tokens), len(column)), np.float32)
    for item, weights in enumerate(tokens):
        for token, weight in weights.items():
            if token in column:
                features[item, column[token]] = weight
    return features, tuple(column)


def _genre_tokens(genres: Sequence[str] | None) -> dict[str, float]:
    names = sorted(set(genres)) if genres is not None else []
    return {f"genre {name}": len(names) ** -0.5 for name in names}


def _year_tokens(title: str | None) -> dict[str, float]:
    match = _YEAR.search(title or "")
    return {f"year {match[1]}": 1.0, f"decade {match[1][:3]}0s": 1.0} if match else {}
