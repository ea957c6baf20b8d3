"""Rules of the house that no import contract can state."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

LIBRARY = sorted((Path(__file__).parent.parent / "mfspark").rglob("*.py"))
JOBS = sorted((Path(__file__).parent.parent / "jobs").glob("*.py"))


def modules_that_match(pattern: str) -> set[str]:
    return {path.name for path in LIBRARY if re.search(pattern, path.read_text(encoding="utf-8"))}


def test_only_the_session_module_starts_spark() -> None:
    assert modules_that_match(r"SparkSession\.builder") == {"session.py"}


def test_dataframes_only() -> None:
    assert modules_that_match(r"\.sparkContext\b") == {"session.py"}
    assert modules_that_match(r"\.rdd\b") == set()


def test_nothing_is_pickled_to_disk_and_no_text_is_run() -> None:
    pickles = r"\bpickle\.|torch\.(load|save)\(|np\.save|\bmarshal\.|\bjoblib\b|\bshelve\b"
    assert modules_that_match(pickles + r"|\beval\(|\bexec\(") == set()


@pytest.mark.parametrize("job", JOBS, ids=lambda path: path.stem)
def test_jobs_are_short(job: Path) -> None:
    assert len(job.read_text(encoding="utf-8").splitlines()) < 50
