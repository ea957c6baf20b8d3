"""`mfspark completed`, `export` and `sample toy`: files that are written."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mfspark.queries import completed as matrices
from mfspark.queries.completed import CompletedMatrix
from mfspark.tables.warehouse import Warehouse
from tests.cli.conftest import Command
from tests.support import made_run as made
from tests.support.made_run import EVIL

MATRIX = CompletedMatrix(
    users=["=HYPERLINK()", "b"],
    items=["i1", "i2", "i3"],
    names=["First", "@Second", "-3 degrees"],
    ratings=np.array([[5.0, np.nan, np.nan], [np.nan, -2.0, np.nan]]),
    predictions=np.array([[4.0, 3.25, 1.0], [2.0, -1.5, -0.5]]),
)


@pytest.fixture
def matrix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A warehouse whose run has a completed matrix."""
    made.publish_run(tmp_path)
    monkeypatch.setattr(matrices, "completed_matrix", lambda _: MATRIX)
    return tmp_path


def test_known_ratings_are_marked_and_printed_beside_predictions(
    mfspark: Command, matrix: Path
) -> None:
    out = mfspark("completed", "-w", matrix).stdout
    rows = [line.split() for line in out.splitlines()]
    assert ["=HYPERLINK()", "5*", "3.25", "1"] in rows
    assert ["b", "2", "-2*", "-0.5"] in rows
    assert "2 users x 3 items, 33% known, marked *" in out
    plain = mfspark("completed", "-w", matrix, "--plain", "-n", "1", "--items", "1").stdout
    assert ["=HYPERLINK()", "5"] in [line.split() for line in plain.splitlines()]
    (run_id,) = Warehouse(matrix).run_ids()
    whole = f"mfspark completed --out completed.csv --warehouse {matrix} --run-id {run_id}"
    assert f"the whole matrix: {whole}" in plain


def test_files_hold_all_of_it_and_run_nothing_in_a_spreadsheet(
    mfspark: Command, matrix: Path
) -> None:
    wide, long = matrix / "wide.csv", matrix / "long.csv"
    assert mfspark("completed", "-w", matrix, "-o", wide).stdout == f"{wide}\n"
    assert mfspark("completed", "-w", matrix, "-o", long, "--long").exit_code == 0
    with wide.open() as file:
        assert list(csv.reader(file)) == [
            ["user", "First", "'@Second", "'-3 degrees"],
            ["'=HYPERLINK()", "5*", "3.25", "1"],
            ["b", "2", "-2*", "-0.5"],
        ]
    with long.open() as file:
        cells = list(csv.reader(file))
    assert cells[0] == ["user", "item", "title", "value", "known"]
    assert ["b", "i2", "'@Second", "-2", "true"] in cells
    assert ["b", "i3", "'-3 degrees", "-0.5", "false"] in cells
    assert len(cells) == 7


@pytest.mark.parametrize("name", EVIL)
def test_names_are_made_harmless_as_exported_tables_are(
    mfspark: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    made.publish_run(tmp_path)
    values = np.array([[-1.0]])
    matrix = CompletedMatrix([name], [name], [name], np.array([[np.nan]]), values)
    monkeypatch.setattr(matrices, "completed_matrix", lambda _: matrix)
    for kind, expected in (
        ("wide", [["user", f"'{name}"], [f"'{name}", "-1"]]),
        ("long", [[f"'{name}"] * 3 + ["-1", "false"]]),
    ):
        path = tmp_path / f"{kind}.csv"
        mfspark("completed", "-w", tmp_path, "-o", path, *(["--long"] * (kind == "long")))
        with path.open(encoding="utf-8", newline="") as file:
            assert list(csv.reader(file))[-len(expected) :] == expected


def test_a_run_without_the_table_says_what_to_do(mfspark: Command, made_warehouse: Path) -> None:
    result = mfspark("completed", "-w", made_warehouse)
    assert result.exit_code == 2
    assert "raise that and run again" in result.stderr


def test_a_place_that_cannot_be_written(mfspark: Command, matrix: Path) -> None:
    result = mfspark("completed", "-w", matrix, "-o", matrix / "no" / "such.csv")
    assert result.exit_code == 2
    assert "choose another place: --out FILE" in result.stderr


def test_toy_writes_two_files_and_says_what_next(mfspark: Command, tmp_path: Path) -> None:
    result = mfspark("sample", "toy", "--out", tmp_path, "--users", "3", "--draws", "10")
    assert result.stdout.split() == [str(tmp_path / name) for name in ("ratings.csv", "items.csv")]
    assert "next: mfspark run --ratings" in result.stderr


def test_export_writes_a_file(mfspark: Command, tmp_path: Path) -> None:
    made.publish_run(tmp_path / "wh")
    target = tmp_path / "ratings.csv"
    result = mfspark("export", "ratings", target, "-w", tmp_path / "wh", "--for-spreadsheets")
    assert (result.exit_code, result.stdout) == (0, f"8 rows in {target}\n")
    assert len(target.read_text().splitlines()) == 9
    result = mfspark("export", "ratings", tmp_path / "ratings.txt", "-w", tmp_path / "wh")
    assert result.exit_code == 2


def test_export_of_no_table_is_the_list_that_people_get(mfspark: Command, tmp_path: Path) -> None:
    made.publish_run(tmp_path / "wh", served="als")
    target = tmp_path / "lists.csv"
    result = mfspark("export", target, "-w", tmp_path / "wh")
    assert (result.exit_code, result.stdout) == (0, f"3 rows in {target}\n")
    with target.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["user_id"], row["rank"], row["item_id"], row["model"]) for row in rows] == [
        ("1", str(rank), item, "als") for rank, item in enumerate(("i4", "i3", "i5"), 1)
    ]
    many = mfspark("export", "my", "own", target, "-w", tmp_path / "wh")
    assert many.exit_code == 2
    assert "one table and one file are meant, not my own" in many.stderr
    older = made.publish_run(tmp_path / "old", served=None)
    gone = mfspark("export", target, "-w", tmp_path / "old")
    assert gone.exit_code == 2
    assert f"run {older} has no table 'serving'" in gone.stderr


def test_export_to_standard_output_is_csv_and_nothing_else(
    mfspark: Command, made_warehouse: Path, tmp_path: Path
) -> None:
    target = tmp_path / "lists.csv"
    for arguments in ((), ("top_n",), ("ratings", "--for-spreadsheets")):
        assert mfspark("export", *arguments, target, "-w", made_warehouse).exit_code == 0
        printed = mfspark("export", *arguments, "-", "-w", made_warehouse)
        assert (printed.exit_code, printed.stderr) == (0, "")
        assert printed.stdout_bytes == target.read_bytes()


def test_a_reader_who_has_had_enough_is_no_error(made_warehouse: Path) -> None:
    code = "from mfspark.cli import main; main()"
    line = [sys.executable, "-c", code, "export", "-", "-w", str(made_warehouse)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as export:
        assert export.stdout
        assert export.stderr
        export.stdout.close()
        assert (export.stderr.read(), export.wait()) == (b"", 0)
