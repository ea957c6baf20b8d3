"""Paths of a configuration stay below the roots that whoever runs mfspark allows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mfspark.config.allowed_roots import check_allowed
from mfspark.config.config import Config
from mfspark.config.loading import load_config
from mfspark.errors import ConfigError
from mfspark.pipeline.ingest import InputFiles


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (tmp_path / "outside.csv").write_text("1,2,3\n")
    (allowed / "inside.csv").write_text("1,2,3\n")
    monkeypatch.setenv("MFSPARK_ALLOWED_ROOTS", f"{allowed};s3://bucket/data")
    return allowed


def test_everything_is_allowed_unless_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MFSPARK_ALLOWED_ROOTS", raising=False)
    assert check_allowed("/etc/passwd", "it") == "/etc/passwd"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("{root}/a/b", True),
        ("{root}", True),
        ("file://{root}/a", True),
        ("{root}/a/../b", True),
        ("{root}/../outside.csv", False),
        ("{root}2/a", False),
        ("file://{root}/../a", False),
        ("/etc/passwd", False),
        ("relative.csv", False),
        ("s3://bucket/data", True),
        ("s3://bucket/data/x.csv", True),
        ("s3://bucket/database/x.csv", False),
        ("s3://bucket/data/../x.csv", False),
        ("s3://other/data/x.csv", False),
    ],
)
def test_what_lies_below_a_root(root: Path, path: str, allowed: bool) -> None:
    path = path.format(root=root)
    if allowed:
        assert check_allowed(path, "it") == path
    else:
        with pytest.raises(ConfigError, match="lies outside of what is allowed"):
            check_allowed(path, "it")


def test_links_are_followed_first(root: Path) -> None:
    os.symlink("/etc", root / "link")
    with pytest.raises(ConfigError):
        check_allowed(str(root / "link" / "passwd"), "it")


def test_every_path_of_a_configuration_is_checked(root: Path) -> None:
    inside, outside = str(root / "inside.csv"), str(root.parent / "outside.csv")
    good = {"warehouse": str(root / "wh"), "inputs": {"ratings": [inside]}}
    assert InputFiles.of(Config.model_validate(good)).ratings == (inside,)
    for part in ("ratings", "users", "items"):
        inputs = {"ratings": [inside], part: [str(root / ".." / "out*.csv")]}
        with pytest.raises(ConfigError, match=r"outside\.csv lies outside"):
            InputFiles.of(Config.model_validate({**good, "inputs": inputs}))
    for override in (f"warehouse={outside}", f'publish.deny_items=["@{outside}"]'):
        with pytest.raises(ConfigError, match="lies outside of what is allowed"):
            load_config(overrides=(f"warehouse={root}", override))
    os.symlink(outside, root / "linked.csv")
    config = Config.model_validate({**good, "inputs": {"ratings": [str(root / "*.csv")]}})
    with pytest.raises(ConfigError, match=r"linked\.csv lies outside"):
        InputFiles.of(config)


def test_the_embedded_survey_needs_no_permission(root: Path) -> None:
    assert InputFiles.of(Config(warehouse=str(root))).ratings[0].endswith("survey.xlsx")
