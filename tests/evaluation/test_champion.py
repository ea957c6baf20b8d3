"""Who is served: planted truth, noise that must change nothing, and every odd case in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from mfspark.evaluation.catalog import NDCG
from mfspark.evaluation.champion import Champion, Contest, choose

N_USERS = 400


def contest(
    users: Mapping[str, np.ndarray], before: str | None = None, seed: int = 1, **changed: Any
) -> Contest:
    """A night whose models did so well for each user."""
    metrics = [{"model": name, "metric": "ndcg", "value": v.mean()} for name, v in users.items()]
    metrics += [{"model": name, "metric": "rmse", "value": -5.0} for name in users]
    given: dict[str, Any] = {
        "models": tuple(users),
        "metric": NDCG,
        "k": 10,
        "metrics": metrics,
        "before": before,
        "users": lambda one, other: np.stack([users[one], users[other]], axis=1),
        "seed": seed,
    }
    return Contest(**{**given, **changed})


def night(seed: int, **above: float) -> dict[str, np.ndarray]:
    """NDCGs of models by user: a user's own level, noise of each model, and what it is above."""
    rng = np.random.default_rng(seed)
    level = rng.beta(1, 2, N_USERS)
    return {name: level + rng.normal(more, 0.15, N_USERS) for name, more in above.items()}


EQUAL = dict.fromkeys(("a", "b", "c", "d", "e", "f", "g", "h"), 0.0)


def test_on_the_first_night_the_best_figure_serves() -> None:
    users = night(1, a=0.0, b=0.05, c=-0.05)
    found = choose(contest(users))
    assert (found.model, found.metric, found.k, found.before) == ("b", "ndcg", 10, None)
    assert found.figures == {name: pytest.approx(v.mean()) for name, v in users.items()}
    assert found.figure == found.figures["b"]
    assert found.why == "the best NDCG@10 of 3 models"


def test_what_is_better_by_construction_takes_over() -> None:
    users = night(2, a=0.0, b=0.1, c=0.05)
    found = choose(contest(users, before="a"))
    assert (found.model, found.before) == ("b", "a")
    best, second = found.challengers
    assert (best.model, second.model) == ("b", "c")
    assert best.gain == pytest.approx((users["b"] - users["a"]).mean())
    assert 0 < best.low < best.gain < best.high
    assert best.n_users == N_USERS
    assert f"{users['b'].mean():.4f}, {best.gain:.4f} above a (+0" in found.why


def test_noise_alone_changes_nothing_over_many_nights() -> None:
    """Eight equal models, drawn anew each night: the best of them is another one most nights."""
    serving, best = "a", list[str]()
    for seed in range(12):
        users = night(100 + seed, **EQUAL)
        found = choose(contest(users, before=serving, seed=seed))
        best.append(max(users, key=lambda name: users[name].mean()))
        serving = found.model
        assert serving == "a", f"night {seed}: {found.why}"
    assert len(set(best)) == 5


def test_the_interval_is_shared_out_among_the_challengers() -> None:
    """With seven challengers it reaches further than with one: z of 1 - .05/14 and of 1 - .05/2."""
    users = night(3, a=0.0, **dict.fromkeys("bcdefgh", 0.02))
    seven = choose(contest(users, before="a")).challengers
    assert len(seven) == 7
    one = choose(contest({name: users[name] for name in "ab"}, before="a")).challengers[0]
    (of_seven,) = [c for c in seven if c.model == "b"]
    difference = users["b"] - users["a"]
    error = difference.std(ddof=1) / N_USERS**0.5
    for found, z in ((one, 1.960), (of_seven, 2.690)):
        assert found.high - found.low == pytest.approx(2 * z * error, rel=0.08)


def test_a_sure_challenger_may_be_another_than_the_best() -> None:
    """b is better by more, for a few users; c by less, for nearly everybody."""
    base = np.full(N_USERS, 0.3)
    users = {"a": base, "b": base.copy(), "c": base + 0.01}
    users["b"][:2] += 5.0
    found = choose(contest(users, before="a"))
    assert [one.model for one in found.challengers] == ["b", "c"]
    assert [one.surely_better for one in found.challengers] == [False, True]
    assert found.model == "c"


def test_the_last_champion_stays_where_it_is_best_or_nearly() -> None:
    users = night(4, a=0.2, b=0.0)
    best = choose(contest(users, before="a"))
    assert (best.model, best.challengers) == ("a", ())
    assert best.why == "it served in the reference run, and no model has a better NDCG@10"
    users = {"a": np.array([0.5, 0.1, 0.4]), "b": np.array([0.1, 0.5, 0.5])}
    nearly = choose(contest(users, before="a"))
    assert nearly.model == "a"
    assert "none is surely better: b has NDCG@10 0.3667, 0.0333 above a (-0." in nearly.why


def test_a_champion_that_was_not_run_is_named() -> None:
    found = choose(contest(night(5, a=0.0, b=0.1), before="gone"))
    assert found.model == "b"
    assert found.why.startswith("gone, which served in the reference run, was not run; the best")


def test_equal_figures_go_to_ials_and_to_no_reference() -> None:
    same = dict.fromkeys(("popularity", "baseline", "als", "ials"), np.full(5, 0.5))
    assert choose(contest(same)).model == "ials"
    assert choose(contest({n: same[n] for n in ("popularity", "als")})).model == "als"
    better = same | {"popularity": np.full(5, 0.6)}
    assert choose(contest(better)).model == "popularity"


@pytest.mark.parametrize(
    ("models", "before", "served", "why"),
    [
        (("popularity", "als", "ials"), None, "ials", "it is fitted to rank"),
        (("popularity", "als", "svd"), None, "als", "the first of models.run that is no reference"),
        (("als", "svd"), None, "als", "the first of models.run"),
        (("popularity", "baseline"), None, "popularity", "the first of models.run"),
        (("als", "ials"), "als", "als", "it served in the reference run"),
        (("als", "ials"), "svd", "ials", "it is fitted to rank"),
    ],
)
def test_where_nothing_was_measured_it_is_said_who_serves_and_why(
    models: tuple[str, ...], before: str | None, served: str, why: str
) -> None:
    found = choose(contest({}, before, models=models))
    assert (found.model, found.figures, found.figure) == (served, {}, None)
    assert found.why == f'nothing was measured (evaluation.split = "none"); {why}'


def test_where_no_test_rating_is_relevant_it_is_said() -> None:
    nulls = [{"model": name, "metric": "ndcg", "value": None} for name in ("als", "ials")]
    found = choose(contest({}, models=("als", "ials"), metrics=nulls))
    assert found.model == "ials"
    assert found.why.startswith("no test rating is relevant (evaluation.relevant_rating); it is")


def test_one_user_says_nothing() -> None:
    users = {"a": np.array([0.1]), "b": np.array([0.9])}
    found = choose(contest(users, before="a"))
    assert (found.model, found.challengers) == ("a", ())


def test_a_pinned_model_and_an_only_one_serve_whatever_they_are_worth() -> None:
    users = night(6, a=0.0, b=0.5)
    pinned = choose(contest(users, before="b"), "a")
    assert (pinned.model, pinned.why) == ("a", "serving.model names it")
    assert set(pinned.figures) == {"a", "b"}
    only = choose(contest({"a": users["a"]}, before="b"))
    assert (only.model, only.why) == ("a", "no other model was run")


def test_models_that_are_not_run_are_measured_but_never_served() -> None:
    users = night(7, a=0.0, baseline=0.5)
    assert choose(contest(users, models=("a", "c"))) == Champion(
        *("a", "the best NDCG@10 of 1 model", "ndcg", 10),
        {"a": pytest.approx(users["a"].mean())},  # pyright: ignore[reportArgumentType]
    )
