"""Help, version, usage errors, samples, doctor, and how fast the command answers."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import mfspark as package
from mfspark.tables.run import PublishedRun
from tests.cli.conftest import Command
from tests.support.places import table_dir

COMMANDS = [
    "run", "ingest", "similarity", "train", "evaluate", "publish",
    "backfill", "path", "show", "neighbors", "predict", "sample", "doctor",
    "runs", "status", "verify", "rollback", "gc", "export",
]  # fmt: skip


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


def test_help_lists_every_command(mfspark: Command) -> None:
    text = mfspark("--help").stdout
    assert [name for name in COMMANDS if f" {name} " not in text] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(mfspark: Command, command: str) -> None:
    result = mfspark(command, "--help")
    assert result.exit_code == 0
    assert f"mfspark {command}" in result.stdout


def test_version(mfspark: Command) -> None:
    result = mfspark("--version")
    assert (result.exit_code, result.stdout) == (0, f"mfspark {package.__version__}\n")


@pytest.mark.parametrize(
    "arguments", [("nix",), ("run", "--nix"), ("show",), ("show", "1", "-n", "0"), ("predict", "1")]
)
def test_wrong_usage_ends_with_2(mfspark: Command, arguments: tuple[str, ...]) -> None:
    assert mfspark(*arguments).exit_code == 2


def test_quick_commands_import_neither_spark_nor_torch(made_warehouse: Path) -> None:
    code = (
        "import sys; from mfspark.cli import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "print([m for m in ('pyspark', 'torch', 'pandas', 'scipy') if m in sys.modules])"
    )
    for arguments in (
        ("path", "top_n"),
        ("show", "1"),
        ("neighbors", "1"),
        ("predict", "1", "i1"),
        ("runs",),
        ("status",),
        ("gc",),
    ):
        result = python(code, *arguments, "-w", str(made_warehouse))
        assert result.stdout.splitlines()[-1] == "[]", result


def test_help_loads_no_library_of_the_commands() -> None:
    code = "import sys, mfspark.cli; print([m for m in sys.argv[1:] if m in sys.modules])"
    libraries = ("pyspark", "torch", "pandas", "scipy", "pyarrow", "numpy", "duckdb", "pydantic")
    assert python(code, *libraries).stdout.strip() == "[]"


def test_the_console_script_ends_with_the_status(made_warehouse: Path) -> None:
    code = "from mfspark.cli import main; main()"
    result = python(code, "path", "ratings", "-w", str(made_warehouse))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{table_dir(PublishedRun(made_warehouse), 'ratings')}\n"
    result = python(code, "path", "nix", "-w", str(made_warehouse))
    assert (result.returncode, result.stdout) == (2, "")


def test_sample_survey_copies_both_files(mfspark: Command, tmp_path: Path) -> None:
    folder = tmp_path / "it's a survey"
    result = mfspark("sample", "survey", "--out", folder)
    assert result.exit_code == 0
    assert [Path(line).exists() for line in result.stdout.splitlines()] == [True, True]
    words = shlex.split(result.stderr.removeprefix("next: "))
    assert words == ["mfspark", "run", "--ratings", str(folder / "survey.xlsx")]


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_sample_synthetic_writes_what_it_names(
    mfspark: Command, tmp_path: Path, file_format: str
) -> None:
    result = mfspark(
        "sample", "synthetic", "-o", tmp_path, "--users", 20, "--items", 30, "--ratings", 200,
        "--seed", 1, "--format", file_format,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    written = [Path(line) for line in result.stdout.splitlines()]
    assert written[-1] == tmp_path / "items.csv"
    assert written[0].suffix == f".{file_format}"
    assert all(path.is_file() for path in written)
    if file_format == "csv":
        assert len(written[0].read_text().splitlines()) == 201


def test_impossible_samples_are_refused(mfspark: Command, tmp_path: Path) -> None:
    result = mfspark("sample", "synthetic", "-o", tmp_path, "--users", 2, "--items", 2)
    assert result.exit_code == 2
    assert "50000 ratings do not fit 2 users x 2 items" in result.stderr
    (tmp_path / "file").write_text("")
    result = mfspark("sample", "survey", "-o", tmp_path / "file")
    assert result.exit_code == 2
    assert "cannot write samples" in result.stderr


def test_doctor_ends_with_2_where_something_fails(
    mfspark: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    result = mfspark("doctor", "--warehouse", tmp_path, "--set", "publish.m=1")
    assert result.exit_code == 2
    assert "fail configuration: " in result.stdout
    assert "fail Java: no java in " in result.stdout
    assert "       install Java 17 or 21" in result.stdout
    assert f"ok   warehouse: {tmp_path}: writable" in result.stdout


def test_doctor_is_content_with_this_machine(mfspark: Command, tmp_path: Path) -> None:
    result = mfspark("doctor", "--warehouse", tmp_path)
    failed = [line for line in result.stdout.splitlines() if line.startswith("fail")]
    assert [line for line in failed if "memory" not in line and "disk" not in line] == []
    assert result.exit_code == (2 if failed else 0)
