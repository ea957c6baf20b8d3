"""The snippets of docs/publishing.md run as they stand, and answer something."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyspark.sql import SparkSession

import mfspark
from tests.support import made_run

PAGE = (Path(__file__).parents[2] / "docs" / "publishing.md").read_text(encoding="utf-8")
READING = PAGE[PAGE.index("## Reading") : PAGE.index("## Security")]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", READING, re.DOTALL)


QUESTIONS = [part.strip() for block in blocks("sql") for part in block.split(";") if part.strip()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("documented")
    made_run.publish_run(root / "warehouse")
    return root


def test_every_engine_reads_the_table(
    folder: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (snippet,) = blocks("python")
    found: dict[str, Any] = {"spark": spark}
    exec(compile(snippet, "docs/publishing.md", "exec"), found)
    ((n,),) = found["rows"]
    assert found["mine"].num_rows == n == 3  # one list, of user 1
    assert len(found["best"]) == 1
    assert len(found["frame"]) == found["table"].count() == n


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_is_answered(folder: Path, question: str) -> None:
    tables = set(re.findall(r"(?:from|join) (\w+)", question))
    assert tables
    with duckdb.connect() as connection:
        for name in tables:
            connection.register(name, mfspark.read_table(folder / "warehouse", name))
        rows = connection.execute(question).fetchall()
    empty = "rejected_ratings" in tables  # the made run has none
    assert bool(rows) is not empty


def test_there_are_questions() -> None:
    assert len(QUESTIONS) == 6
