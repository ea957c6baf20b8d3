from __future__ import annotations

import pytest

from mfspark.config.config import Config
from mfspark.config.loading import load_config
from mfspark.config.models import IALSOptions, Models
from mfspark.config.spaces import Range, is_whole, problems_of
from mfspark.errors import ConfigError


def refusal(*overrides: str) -> list[str]:
    """Return the problems that a configuration is refused for."""
    with pytest.raises(ConfigError) as caught:
        load_config(None, overrides)
    return [line.removeprefix("  - ") for line in str(caught.value).splitlines()[1:]]


@pytest.mark.parametrize("name", Models.names())
def test_the_space_of_a_model_holds_values_that_its_options_take(name: str) -> None:
    options = getattr(Models(), name)
    assert list(problems_of(options.space, options, name)) == []
    assert not options.space.keys() & {"device", "solver", options.iterations}
    assert options.iterations in {"", *type(options).model_fields}


@pytest.mark.parametrize(
    ("space", "problem"),
    [
        ("{ranks = [1, 2]}", "unknown key 'tune.spaces.ials.ranks'; did you mean 'rank'?"),
        ("{rank = [8, 2.5]}", "tune.spaces.ials.rank tries 2.5: Input should be a valid integer, "),
        ("{reg = {low = 0, high = 1}}", "tune.spaces.ials.reg tries 0: Input should be greater "),
        ("{rank = [8]}", "tune.spaces.ials.rank has 1 value(s): at least two are needed"),
        ("{rank = 8}", "tune.spaces.ials.rank = 8: give a range, { low = 1, high = 10 }, or a "),
        ("{rank = {low = 9, high = 3}}", '"high": 3}: low = 9 must be below high = 3'),
        ("{alpha = {low = 0, high = 3, log = true}}", "log = true goes with low above 0, not 0"),
        ("{rank = {low = 9, hihg = 30}}", "unknown key 'hihg'; did you mean 'high'?"),
        ("{rank = {low = 9}}", "high: Field required"),
    ],
)
def test_a_space_that_options_refuse_is_refused(space: str, problem: str) -> None:
    (found,) = refusal(f"tune.spaces.ials = {space}")
    assert problem in found


def test_a_space_of_an_unknown_model_is_refused_with_the_nearest() -> None:
    assert refusal("tune.spaces.ilas = {rank = [8, 16]}") == [
        "unknown key 'tune.spaces.ilas'; did you mean 'ials'?"
    ]


def test_a_former_name_in_a_space_is_refused_with_the_present_one() -> None:
    (found,) = refusal("tune.spaces.als = {prior = {low = 1, high = 2}}")
    assert found == "unknown key 'tune.spaces.als.prior'; it is called 'prior_count' now"


def test_values_that_go_together_only_with_others_of_the_space_are_no_problem() -> None:
    # adjusted_cosine refuses weights; the space has measures of both kinds
    space = '{similarity = ["cosine", "msd"], weighting = ["none", "bm25"]}'
    load_config(None, ("models.item_knn.similarity=msd", f"tune.spaces.item_knn = {space}"))


def test_all_problems_are_told_at_once() -> None:
    assert len(refusal("tune.spaces.ials = {ranks = [1, 2], reg = [0, 1]}")) == 2


@pytest.mark.parametrize(("key", "whole"), [("rank", True), ("reg", False), ("alpha", False)])
def test_whether_numbers_are_whole_is_what_the_option_says(key: str, whole: bool) -> None:
    assert is_whole(IALSOptions(), key, Range(low=1, high=2)) is whole


@pytest.mark.parametrize("key", ["minutes", "trials", "at_once"])
def test_no_budget_is_no_budget(key: str) -> None:
    assert "greater than 0" in refusal(f"tune.{key}=0")[0]


def test_ten_minutes_where_nothing_is_said_and_none_where_trials_are_counted() -> None:
    assert Config().tune.limit_seconds == 600
    assert load_config(None, ("tune.trials=5",)).tune.limit_seconds is None
    assert load_config(None, ("tune.trials=5", "tune.minutes=2")).tune.limit_seconds == 120


def test_how_options_are_tuned_is_no_part_of_a_night() -> None:
    assert load_config(None, ("tune.trials=5",)).content() == Config().content()
