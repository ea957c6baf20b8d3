from __future__ import annotations

import numpy as np

from mfspark.kernels.factorization.side_features import item_attributes, user_attributes


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


def test_users_have_one_for_each_of_their_attributes() -> None:
    users = [["city=Rome", "age=7"], ["city=Rome"], None, ["age=7", "city=Kiel"], ["odd"]]
    features, names = user_attributes(users)
    assert names == ("age 7", "city Rome")
    np.testing.assert_array_equal(features, [[1, 1], [0, 1], [0, 0], [1, 0], [0, 0]])
    assert features.dtype == np.float32


def test_many_numbers_are_sorted_into_ten_bands() -> None:
    features, names = user_attributes([[f"age={age}"] for age in range(100)])
    assert sorted(names) == sorted(f"age from {10 * band}" for band in range(10))
    band_of_each = [names[column] for column in features.argmax(1)]
    assert band_of_each == [f"age from {10 * (age // 10)}" for age in range(100)]
    assert (features.sum(1) == 1).all()


def test_values_that_are_not_all_numbers_stay_as_they_are() -> None:
    ages = [f"age={age}" for age in [*range(20), "nan", "inf", "n/a"]]
    for odd in ages[20:]:
        features, names = user_attributes([[age] for age in [*ages[:20], odd, ages[3]]])
        assert names == ("age 3",)
        assert features.sum() == 2
