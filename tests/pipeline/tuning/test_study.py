from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mfspark.config.models import IALSOptions
from mfspark.errors import ConfigError, MfsparkError
from mfspark.evaluation.catalog import NDCG, RMSE, Metric
from mfspark.pipeline.tuning import proposals
from mfspark.pipeline.tuning.proposals import Search, require_optuna
from mfspark.pipeline.tuning.study import Attempt, Study
from mfspark.pipeline.tuning.trials import Journal, Params, Trial, best_of, in_the_best_share
from mfspark.storage.posix import PosixStorage

OPTIONS = IALSOptions(rank=16, reg=0.1, alpha=3.0)
PLANTED = {"rank": 96, "reg": 0.004, "by_rating": False}
Objective = Callable[[Attempt], float]


def planted(attempt: Attempt) -> float:
    """Return a metric that is best at PLANTED; a short fit says almost the same."""
    params = attempt.params
    far = math.log(float(params["rank"]) / 96) ** 2 + math.log(float(params["reg"]) / 0.004) ** 2
    far += 0.3 * (params["by_rating"] is not False)
    return 0.4 / (1 + 0.3 * far) - 0.02 * attempt.short


def study(
    folder: Path,
    objective: Objective = planted,
    *,
    metric: Metric = NDCG,
    seed: int = 42,
    previews: bool = False,
    space: dict[str, Any] | None = None,
) -> Study:
    space = space or {key: IALSOptions.space[key] for key in PLANTED}
    search = Search(space, OPTIONS, metric, seed, at_once=4)

    def measure(attempts: Sequence[Attempt]) -> list[float]:
        return [objective(attempt) for attempt in attempts]

    return Study(search, Journal(PosixStorage(str(folder)), "tuning/x"), measure, previews)


def run(one: Study, n: int) -> list[Trial]:
    while len(one.trials) < n:
        one.next_wave(n - len(one.trials))
    return told(one.trials)


def told(trials: Sequence[Trial]) -> list[Trial]:
    """Return what does not depend on the clock."""
    return [replace(trial, seconds=0.0) for trial in trials]


def test_the_first_trial_is_what_was_configured(tmp_path: Path) -> None:
    first = run(study(tmp_path), 1)[0]
    assert first.params == {"rank": 16, "reg": 0.1, "by_rating": True}
    assert first.value == planted(Attempt(0, first.params, short=False))


@pytest.mark.parametrize("metric", [NDCG, RMSE])
@pytest.mark.parametrize("previews", [False, True])
def test_a_planted_optimum_is_found(tmp_path: Path, metric: Metric, previews: bool) -> None:
    sign = -1 if metric.lower_is_better else 1
    one = study(tmp_path, lambda a: sign * planted(a), metric=metric, previews=previews)
    run(one, 60)
    assert one.best.params["by_rating"] is False
    assert abs(math.log(float(one.best.params["rank"]) / 96)) < math.log(1.5)
    assert abs(math.log(float(one.best.params["reg"]) / 0.004)) < math.log(2)
    values = [trial.value for trial in one.trials if trial.value is not None]
    tried = [planted(Attempt(t.number, t.params, short=False)) for t in one.trials]
    assert np.median(tried[-20:]) > 1.5 * np.median(tried[:10])  # it learns
    assert one.best.value == (min(values) if metric.lower_is_better else max(values))


def test_what_is_tried_depends_on_the_seed_and_on_nothing_else(tmp_path: Path) -> None:
    assert run(study(tmp_path / "a"), 12) == run(study(tmp_path / "b"), 12)
    assert run(study(tmp_path / "c", seed=43), 12) != run(study(tmp_path / "a"), 12)


@pytest.mark.parametrize("previews", [False, True])
@pytest.mark.parametrize("stops", [[1], [3], [4], [6, 7], [2, 9, 13]])
def test_an_interrupted_study_ends_as_an_uninterrupted_one(
    tmp_path: Path, stops: list[int], previews: bool
) -> None:
    for n in stops:
        run(study(tmp_path / "a", previews=previews), n)
    gone_on = run(study(tmp_path / "a", previews=previews), 18)
    assert gone_on == run(study(tmp_path / "b", previews=previews), 18)


def test_a_wave_that_was_killed_is_done_again(tmp_path: Path) -> None:
    calls = 0

    def killed(attempt: Attempt) -> float:
        nonlocal calls
        calls += 1
        if calls == 7:
            raise KeyboardInterrupt
        return planted(attempt)

    with pytest.raises(KeyboardInterrupt):
        run(study(tmp_path / "a", killed), 12)
    assert len(study(tmp_path / "a").trials) == 4  # the first wave
    assert run(study(tmp_path / "a"), 12) == run(study(tmp_path / "b"), 12)


def test_bad_trials_are_stopped_after_the_short_fit(tmp_path: Path) -> None:
    whole: list[int] = []

    def measured(attempt: Attempt) -> float:
        if not attempt.short:
            whole.append(attempt.number)
        return planted(attempt)

    one = study(tmp_path, measured, previews=True)
    trials = run(one, 40)
    pruned = {trial.number for trial in trials if trial.outcome == "pruned"}
    assert len(pruned) > 10
    assert set(whole) == set(range(40)) - pruned
    assert 0 in whole
    assert all(trial.value is None for trial in trials if trial.number in pruned)


def test_trials_that_were_stopped_never_win() -> None:
    # whatever is stopped would have been the best, and its short fit looks so too
    complete = Trial(0, {}, "complete", 0.2)
    stopped = Trial(1, {}, "pruned", None, preview=0.9)
    failed = Trial(2, {}, "failed", math.nan)
    assert best_of([complete, Trial(1, {}, "pruned", 0.9, 0.9)], NDCG) == complete
    assert best_of([complete, stopped, failed], NDCG) == complete
    assert best_of([stopped, complete], RMSE) == complete
    assert best_of([Trial(0, {}, "failed"), stopped], NDCG).number == 0


def test_what_cannot_be_fitted_fails_and_is_not_taken(tmp_path: Path) -> None:
    def measured(attempt: Attempt) -> float:
        return math.nan if float(attempt.params["reg"]) < 0.02 else planted(attempt)

    one = study(tmp_path, measured, previews=True)
    trials = run(one, 24)
    failed = [trial for trial in trials if trial.outcome == "failed"]
    assert failed
    assert all(float(trial.params["reg"]) < 0.02 for trial in failed)
    assert float(one.best.params["reg"]) >= 0.02


def test_the_same_options_are_measured_once(tmp_path: Path) -> None:
    seen: list[Params] = []

    def measured(attempt: Attempt) -> float:
        seen.append(attempt.params)
        return float(attempt.params["rank"])

    one = study(tmp_path, measured, space={"rank": (16, 32)})
    trials = run(one, 24)
    assert len(trials) == 24
    assert len(seen) < 8  # two values, each at most once in a wave, and then known
    assert {trial.value for trial in trials if trial.params["rank"] == 32} == {32.0}


def test_the_best_third_so_far_goes_on() -> None:
    rng = np.random.default_rng(1)
    for n in [n % 12 for n in range(400)]:
        others = rng.random(n).tolist()
        mine = float(rng.random())
        for metric in (NDCG, RMSE):
            ranked = sorted([*others, mine], reverse=not metric.lower_is_better)
            expected = n < 3 or ranked.index(mine) < math.ceil(len(ranked) / 3)
            assert in_the_best_share(mine, others, metric) == expected


def test_a_damaged_trial_is_named(tmp_path: Path) -> None:
    run(study(tmp_path), 4)
    (tmp_path / "tuning/x/trial-00002.json").write_text("{")
    with pytest.raises(MfsparkError, match=r"trial-00002.json is damaged"):
        study(tmp_path)


def test_without_optuna_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposals, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r'pip install "mfspark\[tune\]"'):
        require_optuna()


@pytest.mark.parametrize("server", ["moto"])
def test_trials_are_kept_in_a_bucket_too(object_storage: Any, tmp_path: Path, server: str) -> None:
    journal = Journal(object_storage(server), "tuning/x")
    one, on_disk = study(tmp_path / "a"), study(tmp_path / "b")
    one.journal, one.trials = journal, journal.read()
    run(one, 6)
    again = replace(one, trials=[])
    assert run(again, 10) == run(on_disk, 10)
