"""Checks of the machine: versions, Java, places that cannot be written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mfspark.cli.checks import Check, declared_range, examine, within
from mfspark.errors import ConfigError
from mfspark.system.java import Java, find_java, parse_version, require_java


def made_java(home: Path, version: str) -> Path:
    """An installation whose file `release` names a version; its `java` says nothing."""
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    if version:
        (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return home


@pytest.mark.parametrize(
    ("text", "version"),
    [("17.0.12", (17, 0, 12)), ("21", (21,)), ("25.0.1-ea", (25, 0, 1)), ("1.8.0_392", (1, 8, 0)),
     ("", ())],
)  # fmt: skip
def test_java_versions_are_read_as_numbers(text: str, version: tuple[int, ...]) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("version", "problem"),
    [("17.0.12", ""), ("21.0.4", ""), ("25.0.3", ""), ("25", "corrupt memory"),
     ("25.0.2", "corrupt memory"), ("11.0.2", "17 or later"), ("1.8.0_392", "17 or later"),
     ("", "cannot be told")],
)  # fmt: skip
def test_javas_that_spark_cannot_run_on_are_refused(version: str, problem: str) -> None:
    found = Java(Path("java"), parse_version(version)).problem
    assert problem in found
    assert bool(problem) == bool(found)


def test_only_17_and_21_are_tested_versions() -> None:
    tested = [v for v in (11, 17, 18, 21, 25) if Java(Path("java"), (v, 0, 9)).tested]
    assert tested == [17, 21]


def test_java_home_is_looked_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(made_java(tmp_path / "home", "21.0.4")))
    monkeypatch.setenv("PATH", str(made_java(tmp_path / "other", "17.0.1") / "bin"))
    java = find_java()
    assert java is not None
    assert java.version == (21, 0, 4)
    monkeypatch.delenv("JAVA_HOME")
    java = find_java()
    assert java is not None
    assert java.version == (17, 0, 1)


def test_without_java_the_remedy_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"has no bin/java\n  install Java 17 or 21"):
        require_java()
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="no java on PATH"):
        require_java()
    monkeypatch.setenv("JAVA_HOME", str(made_java(tmp_path / "old", "11.0.2")))
    with pytest.raises(ConfigError, match=r"Java 11\.0\.2 in .*: Spark needs Java 17 or later"):
        require_java()
    monkeypatch.setenv("JAVA_HOME", str(made_java(tmp_path / "mute", "")))
    with pytest.raises(ConfigError, match="version cannot be told"):
        require_java()


@pytest.mark.parametrize(
    ("version", "inside"),
    [("2.10.0", True), ("2.13.0+cpu", True), ("2.14.0", False), ("2.9.1", False), ("3.0", False)],
)
def test_versions_are_compared_as_numbers(version: str, inside: bool) -> None:
    assert within(version, ">=2.10,<2.14") is inside


def test_ranges_come_from_what_the_package_declares() -> None:
    assert declared_range("pandas") == ">=2.2,<3"  # and not those of pandas-stubs
    assert declared_range("nothing") == ""


def checks(warehouse: Path, config: str | None = None) -> dict[str, Check]:
    return {f.what: f for f in examine(config, (), str(warehouse), spark=False)}


def test_this_machine_is_well(tmp_path: Path) -> None:
    found = checks(tmp_path / "new")
    failed = {what for what, check in found.items() if check.level == "fail"}
    assert failed <= {"memory", "disk"}  # as full as the machine that runs the tests
    assert "threads" in found["torch at work"].found
    assert found["warehouse"].found.endswith("will be made by the first run")
    assert list(tmp_path.iterdir()) == []  # looking made nothing


def test_each_wrong_thing_fails_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "bad.toml").write_text("[publish]\nm = 3\n")
    monkeypatch.setenv("JAVA_HOME", os.fspath(tmp_path))
    found = checks(tmp_path / "file" / "warehouse", str(tmp_path / "bad.toml"))
    failed = {what for what, check in found.items() if check.level == "fail"}
    assert failed - {"memory", "disk"} == {"configuration", "Java", "warehouse"}
    assert all(found[what].remedy for what in failed)
    assert "unknown key 'publish.m'" in found["configuration"].found
