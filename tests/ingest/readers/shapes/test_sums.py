"""Which lines of a table sum up others; what is right is known from how the table was made."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfspark.ingest.readers.shapes.sums import (
    derived_from_sums,
    is_extreme,
    is_weighted_sum,
    summing_lines,
)
from tests.support.rounds import rounds


def ratings(seed, n=12, m=6, blank=0.2, most=5):
    random = np.random.default_rng(seed)
    table = random.integers(1, most + 1, (n, m)).astype(float)
    table[random.random((n, m)) < blank] = np.nan
    table[:, np.isnan(table).all(0)] = 1
    return table


def with_lines(table, *lines):
    return np.vstack([table, *lines])


def test_sums_means_and_numbers_behind_the_others():
    table = ratings(1)
    found = summing_lines(
        with_lines(
            table,
            np.nansum(table, 0),
            np.nanmean(table, 0).round(2),
            np.isfinite(table).sum(0),
        )
    )
    assert found == {
        12: "the sum of the others",
        13: "the mean of the others",
        14: "the number of the others",
    }


@pytest.mark.parametrize("digits", [1, 2, 6])
def test_means_before_the_others_and_rounded(digits):
    table = ratings(2)
    assert summing_lines(np.vstack([np.nanmean(table, 0).round(digits), table])) == {
        0: "the mean of the others"
    }


def test_sums_of_parts():
    one, other = ratings(3), ratings(4)
    halves = np.nansum(one, 0), np.nansum(other, 0)
    found = summing_lines(np.vstack([one, halves[0], other, halves[1], halves[0] + halves[1]]))
    assert sorted(found) == [12, 25, 26]


def test_columns_that_stand_before_what_is_summed_up_are_passed_over():
    marks = ratings(5, 25, 4, 0.0, 99).T
    ages = np.arange(25) % 4 + 15.0
    assert list(summing_lines(np.vstack([marks, marks.sum(0)]))) == [4]
    assert summing_lines(np.vstack([ages, marks, marks.sum(0)])) == {}  # the caller tries without


@pytest.mark.parametrize(
    "table",
    [
        np.full((10, 6), 4.0),
        np.repeat(np.arange(1.0, 6), 6).reshape(5, 6),  # everybody gives one value
        np.vstack([ratings(6, 1, 6, 0.0)] * 5),  # all agree
        np.vstack([ratings(7, 4, 6, 0.0), np.full((1, 6), 4.0)]),  # 4 is their number, by chance
        np.full((8, 6), np.nan),
        np.empty((0, 6)),
    ],
)
def test_no_line_sums_up_others_by_chance(table):
    assert summing_lines(table) == {}


@pytest.mark.faults
@settings(max_examples=rounds(150, 3000), deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n=st.integers(3, 40),
    m=st.integers(3, 12),
    blank=st.sampled_from([0.0, 0.3, 0.7]),
    most=st.sampled_from([2, 5, 10, 100]),
)
def test_ratings_are_no_sums(seed, n, m, blank, most):
    assert summing_lines(ratings(seed, n, m, blank, most)) == {}


def test_largest_and_smallest_count_where_a_name_says_so():
    table = ratings(8)
    table = with_lines(table, np.nanmax(table, 0), np.nanmin(table, 0), np.nanstd(table, 0, ddof=1))
    people = list(range(12))
    assert [is_extreme(table, line, people).split(" ")[1] for line in (12, 13, 14)] == [
        "largest",
        "smallest",
        "deviation",
    ]
    assert is_extreme(table, 3, [0, 1, 2, *range(4, 12)]) == ""


def test_shares_and_ranks_of_sums():
    sums = ratings(9, 25, 4, 0.0, 99).sum(1)
    ranks = np.array([(sums > s).sum() + 1 for s in sums])
    assert derived_from_sums((sums / 4).round(2), sums) == "the sum of the others on another scale"
    assert derived_from_sums(ranks, sums) == "the rank of the sums of the others"
    assert derived_from_sums(ratings(10, 25, 1, 0.0, 99)[:, 0], sums) == ""
    assert derived_from_sums(ratings(10, 25, 1, 0.0)[:, 0], sums) == ""


def test_a_few_ratings_may_lie_on_a_line_by_chance():
    stars = np.array([2.5, 5.0, 3.5, 4.0, 4.5, 3.8])
    assert derived_from_sums(stars, 7 * stars + 2) == ""
    percent = 10 * stars + 0.13  # written finely enough
    assert derived_from_sums(percent, 7 * stars + 2) == "the sum of the others on another scale"
    more = np.concatenate([stars, [1.0, 1.5, 2.0, 3.0]])
    assert derived_from_sums(more, 7 * more + 2) == "the sum of the others on another scale"


def test_a_few_cells_that_are_means_are_no_line_of_means():
    table = ratings(11, 12, 20, 0.0, 10)
    means = np.delete(table, 4, 0).mean(0)
    table[4] = np.nan
    table[4, :5] = means[:5].round(2)
    assert summing_lines(table) == {}
    table[4] = means.round(2)
    assert summing_lines(table) == {4: "the mean of the others"}


@pytest.mark.parametrize("digits", [1, 2])
@pytest.mark.parametrize("weights", [(0.4, 0.35, 0.25), (0.1, 0.2, 0.3, 0.15, 0.25)])
def test_weighted_sums_are_told_by_their_weights(weights, digits):
    table = ratings(12, 40, 5, 0.0).T
    total = (np.array(weights) @ table[: len(weights)]).round(digits)
    assert is_weighted_sum(total, table)
    total[3] = np.nan
    table[1, 7] = np.nan
    assert is_weighted_sum(total, table), "where nothing is blank"
    difference = (table[0] - 0.35 * table[1]).round(2)
    assert not is_weighted_sum(difference, table), "with weights above 0"
    assert not is_weighted_sum((0.37 * table[0]).round(2), table), "of several"


@settings(max_examples=200)
@given(
    seed=st.integers(0, 2**32),
    n=st.integers(8, 60),
    m=st.integers(2, 9),
    digits=st.sampled_from([1, 2]),
    apart=st.floats(0.3, 2),
)
def test_what_others_rate_alike_is_no_weighted_sum(seed, n, m, digits, apart):
    """A film that each person rates, to the tenth, about as the others on average."""
    table = ratings(seed, n, m, 0.0)
    noise = np.random.default_rng(seed).normal(0, apart, n)
    alike = np.clip(table.mean(1) + noise, 1, 5).round(digits)
    assert not is_weighted_sum(alike, table.T)
