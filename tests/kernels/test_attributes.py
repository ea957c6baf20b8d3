from __future__ import annotations

import numpy as np

from mfspark.kernels.attributes import item_attributes


def test_genres_share_a_weight_and_years_come_with_their_decade() -> None:
    titles = ["Heat (1995)", "Alien (1979) ", "Se7en (1995)", "No year", None]
    genres = [["Crime", "Drama"], ["Horror"], ["Crime"], None, ["Drama"]]
    features, names = item_attributes(titles, genres)
    assert names == ("decade 1990s", "genre Crime", "genre Drama", "year 1995")
    half = 0.5**0.5
    expected = [[1, half, half, 1], [0, 0, 0, 0], [1, 1, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0]]
    np.testing.assert_allclose(features, expected, atol=1e-7)
    assert features.dtype == np.float32


def test_items_about_which_nothing_is_known() -> None:
    features, names = item_attributes([None, ""], [None, []])
    assert features.shape == (2, 0)
    assert names == ()


def test_only_the_commonest_are_kept() -> None:
    genres = [[f"g{i // 2}"] for i in range(1_000)] + [["g499"]] * 3
    features, names = item_attributes([None] * 1_003, genres)
    assert features.shape == (1_003, 256)
    assert names[0] == "genre g499"
