from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from mfspark.config.config import Config
from mfspark.config.loading import load_config, parse_run_date
from mfspark.config.models import ALSOptions, IALSOptions, ModelName
from mfspark.errors import ConfigError, ExitStatus


def toml(folder: Path, text: str) -> Path:
    path = folder / "my.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path | None, *overrides: str) -> list[str]:
    """Return the lines of the message that refuses this configuration."""
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    assert caught.value.status is ExitStatus.USAGE
    return str(caught.value).splitlines()


def test_nothing_gives_the_defaults() -> None:
    assert load_config() == Config()


def test_file_then_overrides_on_top(tmp_path: Path) -> None:
    path = toml(tmp_path, "seed = 7\n[models.als]\nrank = 8\nreg = 1\n")
    config = load_config(path, ("models.als.rank=16", "publish.n = 20"))
    assert (config.seed, config.models.als.rank, config.publish.n) == (7, 16, 20)
    assert config.models.als.reg == 1.0  # a whole number serves where a fraction is asked for


def test_a_later_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    first = toml(tmp_path, "seed = 7\n[models.als]\nrank = 8\nreg = 1\n[models.ials]\nrank = 9\n")
    second = tmp_path / "tuned.toml"
    second.write_text("[models.als]\nrank = 16\n")
    config = load_config((first, second), ("models.als.tol=0.5",))
    assert config.seed == 7
    assert (config.models.als.rank, config.models.als.reg, config.models.als.tol) == (16, 1.0, 0.5)
    assert config.models.ials.rank == 9
    assert load_config((second, first)).models.als.rank == 8


def test_a_refusal_names_all_files(tmp_path: Path) -> None:
    first = toml(tmp_path, "seed = 7\n")
    second = tmp_path / "other.toml"
    second.write_text("sead = 8\n")
    with pytest.raises(ConfigError, match=r"my\.toml, .*other\.toml has 1 problem"):
        load_config((first, second))


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("models.run=['als']", ("als",)),
        ('models.run=["als", "baseline"]', ("als", "baseline")),
    ],
)
def test_override_is_a_toml_value(override: str, value: tuple[str, ...]) -> None:
    assert load_config(overrides=(override,)).models.run == value


def test_override_that_is_no_toml_is_text() -> None:
    config = load_config(overrides=("models.als.solver=cg", "warehouse=s3://bucket/a=b"))
    assert config.models.als.solver == "cg"
    assert config.warehouse == "s3://bucket/a=b"  # only the first = divides


def test_unknown_key_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    path = toml(tmp_path, "[models.als]\nrang = 8\n")
    assert refusal(path) == [
        f"{path} has 1 problem(s):",
        "  - unknown key 'models.als.rang'; did you mean 'rank'?",
    ]


def test_unknown_key_like_no_other_lists_the_known_ones() -> None:
    assert refusal(None, "ids.zzz=1") == [
        "the configuration has 1 problem(s):",
        "  - unknown key 'ids.zzz'; known: type",
    ]


def test_a_key_that_is_gone_says_so() -> None:
    assert refusal(None, "models.als.engine=torch")[1] == (
        "  - unknown key 'models.als.engine'; it is gone, as als is no other than ours; "
        "leave the key out"
    )


RENAMED: list[tuple[ModelName, str, str]] = [
    ("baseline", "reg_user", "user_damping"),
    ("baseline", "reg_item", "item_damping"),
    ("als", "prior", "prior_count"),
    ("als", "bias_damping", "damping"),
    ("torch_mf", "prior", "prior_count"),
    ("torch_mf", "imprint_damping", "rater_damping"),
    ("nmf", "prior", "prior_count"),
    ("bayesian_mf", "user_periods", "user_time_bins"),
    ("bayesian_mf", "item_periods", "item_time_bins"),
]


@pytest.mark.parametrize(("model", "former", "name"), RENAMED)
def test_a_key_of_another_name_is_refused_with_its_name(
    model: ModelName, former: str, name: str
) -> None:
    assert refusal(None, f"models.{model}.{former}=[3]")[1:] == [
        f"  - unknown key 'models.{model}.{former}'; it is called '{name}' now"
    ]


def test_the_threshold_of_ials_is_an_option_of_all_models() -> None:
    assert refusal(None, "models.ials.threshold=4")[1:] == [
        "  - unknown key 'models.ials.threshold'; it is called 'feedback.choices_from' now"
    ]
    older = IALSOptions(rank=8).model_dump() | {"threshold": 4.0}
    assert IALSOptions.of_run(older) == IALSOptions(rank=8)
    assert load_config(overrides=("feedback.choices_from=4",)).feedback.choices_from == 4.0
    for name in ("relevant", "all"):
        feedback = load_config(overrides=(f"feedback.choices_from={name}",)).feedback
        assert feedback.choices_from == name
    assert refusal(None, "feedback.choices_from=some")[1].startswith("  - feedback.choices_from")


@pytest.mark.parametrize(("model", "former", "name"), RENAMED)
def test_a_key_of_another_name_is_read_in_an_older_run(
    model: ModelName, former: str, name: str
) -> None:
    options = Config().models.of(model)
    value = (3,) if isinstance(getattr(options, name), tuple) else 3.25
    older = options.model_dump()
    del older[name]
    found = type(options).of_run(older | {former: value})
    assert found == options.model_copy(update={name: value})


def test_a_key_that_is_gone_is_passed_over_in_an_older_run() -> None:
    options = ALSOptions(rank=8).model_dump() | {"engine": "torch"}
    assert ALSOptions.of_run(options) == ALSOptions(rank=8)


def test_unknown_section_and_optional_section_are_searched_too() -> None:
    assert refusal(None, "model.als.rank=8")[1].endswith("did you mean 'models'?")
    assert refusal(None, "ingest.columns.users=a")[1].endswith("did you mean 'user'?")


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        (
            "models.als.rank=many",
            'models.als.rank = "many": Input should be a valid integer, '
            "unable to parse string as an integer",
        ),
        ("models.als.rank=-3", "models.als.rank = -3: Input should be greater than 0"),
        ("models.als.rank=2.5", "models.als.rank = 2.5: Input should be a valid integer, "),
        ("models.als.reg=nan", "models.als.reg = NaN: Input should be a finite number"),
        ("models.als.reg=0", "models.als.reg = 0: Input should be greater than 0"),
        ("evaluation.test_share=1", "evaluation.test_share = 1: Input should be less than 1"),
        ("evaluation.split=weekly", "evaluation.split = \"weekly\": Input should be 'random', "),
        ("models.run=['svdpp']", "models.run.0 = \"svdpp\": Input should be 'baseline', "),
        ("models.run=[]", "run must name at least one model, each once"),
        ("models.run=['als', 'als']", "run must name at least one model, each once"),
        ("ingest.rating_scale=[5, 1]", "rating_scale must be [smallest, largest]"),
        ("ingest=3", "ingest = 3: Input should be a valid dictionary or instance of IngestOptions"),
        (
            "evaluation.split=given",
            'evaluation.split = "given" and inputs.test (--test FILE) go together',
        ),
        (
            'inputs.test=["t.csv"]',
            'evaluation.split = "given" and inputs.test (--test FILE) go together',
        ),
        (
            'completed.model="svd"',
            'predicts ratings only with models.svd.unrated = "baseline"; with "zero" it ranks',
        ),
        ('completed.model="nmf"', 'only with models.nmf.unrated = "masked"'),
        ("serving.model=svd", 'serving.model = "svd", which is not run (models.run = baseline, '),
        ("serving.model=nix", "serving.model = \"nix\": Input should be 'auto', 'baseline'"),
        ("serving.metric=rmse", "serving.metric = \"rmse\": Input should be 'ndcg', 'recall'"),
        ("serving.n=0", "serving.n = 0: Input should be greater than 0"),
        ("models.svd.energy=0", "models.svd.energy = 0: Input should be greater than 0"),
        ("models.svd.energy=1.1", "models.svd.energy = 1.1: Input should be less than or equal"),
        ("seed=-1", "seed = -1: Input should be greater than or equal to 0"),
    ],
)
def test_wrong_value_is_refused_with_what_was_found(override: str, problem: str) -> None:
    lines = refusal(None, override)
    assert lines[0] == "the configuration has 1 problem(s):"
    assert problem in lines[1]


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("models.run=['als', 'sdv']", "; did you mean 'svd'?"),
        ("models.run=['alz']", "; did you mean 'als'?"),
        ("evaluation.split=randomly", "; did you mean 'random'?"),
        ("models.run=['qqqqqqqq']", "'ease'"),
        ("models.run=als", 'models.run = "als": Input should be a list: ["als"]'),
        ("models.run='als, ials'", 'Input should be a list: ["als", "ials"]'),
        ("inputs.ratings=r\u00e9sum\u00e9.csv", 'Input should be a list: ["r\u00e9sum\u00e9.csv"]'),
        ("ingest.missing_ratings=-1", "ingest.missing_ratings = -1: Input should be a list: [-1]"),
    ],
)
def test_what_was_probably_meant_ends_the_line(override: str, meant: str) -> None:
    (_, line) = refusal(None, override)
    assert line.endswith(meant)


def test_models_that_predict_may_fill_the_matrix() -> None:
    for name, unrated in (("svd", "baseline"), ("nmf", "masked")):
        overrides = f"completed.model={name}", f"models.{name}.unrated={unrated}"
        assert load_config(overrides=overrides).completed.model == name


def test_merged_titles_and_given_test_ratings_do_not_go_together() -> None:
    given = 'inputs.test=["t.csv"]', "evaluation.split=given", "items.merge_on=title"
    assert any("cannot find the pairs" in line for line in refusal(None, *given))


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    path = toml(tmp_path, "sead = 1\n[publish]\nn = 0\n")
    assert sorted(refusal(path)) == [
        "  - publish.n = 0: Input should be greater than 0",
        "  - unknown key 'sead'; did you mean 'seed'?",
        f"{path} has 2 problem(s):",
    ]


@pytest.mark.parametrize("override", ["seed", "=3", " = 3", ""])
def test_override_without_key_and_value_is_refused(override: str) -> None:
    assert refusal(None, override) == [f"--set {override} is not SECTION.OPTION=VALUE"]


def test_override_below_a_value_is_refused() -> None:
    assert refusal(None, "seed=1", "seed.x=2") == [
        "--set seed.x=2: 'seed' is a value, not a section"
    ]


def test_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    assert refusal(path) == [f"cannot read the configuration {path}: No such file or directory"]


def test_directory_in_place_of_a_file(tmp_path: Path) -> None:
    assert refusal(tmp_path) == [f"cannot read the configuration {tmp_path}: Is a directory"]


def test_bad_toml_names_the_line(tmp_path: Path) -> None:
    path = toml(tmp_path, "seed = 1\nwarehouse = \n")
    (line,) = refusal(path)
    assert line.startswith(f"{path} is not valid TOML: ")
    assert "line 2" in line


def test_binary_file_is_no_toml(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_bytes(b"\xff\xfe" + os.urandom(8))
    assert refusal(path)[0].startswith(f"{path} is not valid TOML: ")


def test_one_key_of_a_gate_leaves_the_other_as_it_is() -> None:
    gates = load_config(overrides=("gates.rejected.threshold=0.5", "gates.drift.mode=off")).gates
    assert (gates.rejected.mode, gates.rejected.threshold) == ("warn", 0.5)
    assert (gates.drift.mode, gates.drift.threshold) == ("off", 0.2)
    assert gates.input == Config().gates.input
    assert refusal(None, "gates.input.treshold=1")[1].endswith("did you mean 'threshold'?")
    assert "gates.audits.threshold" in refusal(None, "gates.audits.threshold=1")[1]
    assert refusal(None, "gates.drift.threshold=-1")[1].startswith("  - gates.drift.threshold = -1")


def test_config_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().seed = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_content_leaves_out_where_things_lie() -> None:
    here = load_config(overrides=("warehouse=a", 'inputs.ratings=["x.csv"]')).content()
    assert here == Config().content()
    assert here != load_config(overrides=("seed=1",)).content()


def test_run_date() -> None:
    assert parse_run_date("2026-11-22") == date(2026, 11, 22)
    with pytest.raises(ConfigError) as caught:
        parse_run_date("22.11.2026")
    assert str(caught.value) == "run date '22.11.2026' is not a date\n  write it as 2026-11-22"


def test_item_ids_come_from_files_too(tmp_path: Path) -> None:
    """The ids are part of the configuration, so that a changed file is another run."""
    (tmp_path / "out.txt").write_text("\ufeffp 7\n\n  p8 \n", encoding="utf-8")
    given = f'publish.deny_items=[12, "p5", "@{tmp_path}/out.txt"]'
    config = load_config(None, (given,))
    assert config.publish.deny_items == ("12", "p5", "p 7", "p8")
    assert config.content()["publish"]["deny_items"] == ["12", "p5", "p 7", "p8"]
    with pytest.raises(ConfigError, match=r"cannot read the item ids in .*none\.txt"):
        load_config(None, (f'publish.allow_items=["@{tmp_path}/none.txt"]',))
