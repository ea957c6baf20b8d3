"""Tables as one file: whole, readable, and harmless in a spreadsheet where that is asked for."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import mfspark
from mfspark.errors import ConfigError, NotFoundError
from mfspark.tables import export
from mfspark.tables.export import export_table
from tests.support import made_run
from tests.support.made_run import EVIL

HARMLESS = ["a=1", "1-2", "", "'=1", "Alien (1979)"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def publish_titles(root: Path, monkeypatch: pytest.MonkeyPatch, titles: list[str]) -> None:
    named = {f"i{n}": title for n, title in enumerate(titles)}
    monkeypatch.setattr(made_run, "TITLES", {**made_run.TITLES, **named})
    made_run.publish_run(root)


def test_a_table_becomes_one_csv_file(tmp_path: Path) -> None:
    made_run.publish_run(tmp_path / "wh")
    target = tmp_path / "ratings.csv"
    assert export_table(tmp_path / "wh", "ratings", target) == 8
    found = rows(target)
    ratings = [(int(r["user_id"]), r["item_id"], float(r["rating"])) for r in found]
    assert ratings == made_run.RATINGS
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["ratings.csv"]


def test_lists_become_texts(tmp_path: Path) -> None:
    made_run.publish_run(tmp_path / "wh")
    export_table(tmp_path / "wh", "user_factors", tmp_path / "factors.csv")
    first = rows(tmp_path / "factors.csv")[0]
    assert (first["model"], first["factors"]) == ("als", "1|0")
    export_table(tmp_path / "wh", "items", tmp_path / "items.csv")
    assert {row["genres"] for row in rows(tmp_path / "items.csv")} == {""}


def test_a_table_becomes_one_parquet_file(tmp_path: Path) -> None:
    made_run.publish_run(tmp_path / "wh")
    assert export_table(tmp_path / "wh", "user_factors", tmp_path / "f.parquet") == 8
    expected = mfspark.read_table(tmp_path / "wh", "user_factors").to_table()
    assert pq.read_table(tmp_path / "f.parquet").equals(expected)


@pytest.mark.parametrize("title", EVIL)
def test_formulas_are_defused_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, title: str
) -> None:
    publish_titles(tmp_path / "wh", monkeypatch, [title])
    for safe, expected in ((False, title), (True, f"'{title}")):
        target = tmp_path / f"{safe}.csv"
        export_table(tmp_path / "wh", "items", target, for_spreadsheets=safe)
        found = {row["item_id"]: row["title"] for row in rows(target)}
        assert found["i0"] == expected
        assert found["i1"] == "First (1999)"


def test_other_texts_and_numbers_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_titles(tmp_path / "wh", monkeypatch, ["x", "x", "x", "x", "x", "x", *HARMLESS])
    target = tmp_path / "items.csv"
    export_table(tmp_path / "wh", "items", target, for_spreadsheets=True)
    found = {row["item_id"]: row["title"] for row in rows(target)}
    assert [found[f"i{n}"] for n in range(6, 6 + len(HARMLESS))] == HARMLESS
    export_table(tmp_path / "wh", "item_factors", tmp_path / "f.csv", for_spreadsheets=True)
    biases = {row["bias"] for row in rows(tmp_path / "f.csv")}
    assert "-0.5" in biases, "a negative number is no formula"


def test_a_failed_export_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_run.publish_run(tmp_path / "wh")
    target = tmp_path / "ratings.csv"
    export_table(tmp_path / "wh", "ratings", target)
    before = target.read_bytes()
    monkeypatch.setattr(export, "_flat", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export_table(tmp_path / "wh", "top_n", target)
    assert target.read_bytes() == before


def test_what_cannot_be_exported_is_told(tmp_path: Path) -> None:
    made_run.publish_run(tmp_path / "wh")
    with pytest.raises(ConfigError, match=r"neither .csv nor .parquet"):
        export_table(tmp_path / "wh", "ratings", tmp_path / "ratings.xlsx")
    with pytest.raises(NotFoundError, match="no table is named 'nosuch'"):
        export_table(tmp_path / "wh", "nosuch", tmp_path / "x.csv")
    with pytest.raises(ConfigError, match="cannot write"):
        export_table(tmp_path / "wh", "ratings", tmp_path / "no" / "ratings.csv")
