"""Rules of the house that no import contract can state."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "mfspark"
LIBRARY = sorted(PACKAGE.rglob("*.py"))
ONE_CONCEPT_IN_LAYERS = {
    "config", "factorization", "gates", "grid", "ingest", "item_weights", "knn", "models",
    "kernels", "nearest_raters", "neighbors", "predict", "progress", "publish", "records", "report",
    "run", "side_features", "time_biases",
}  # fmt: skip
"""Names of modules that stand in two layers: the kernel of a model, say, and the model."""
JOBS = sorted((Path(__file__).parent.parent / "jobs").glob("*.py"))


def modules_that_match(pattern: str) -> set[str]:
    return {path.name for path in LIBRARY if re.search(pattern, path.read_text(encoding="utf-8"))}


def test_only_one_module_starts_spark() -> None:
    assert modules_that_match(r"SparkSession\.builder") == {"spark.py"}


@pytest.mark.parametrize("folder", ["mfspark", "benchmarks", "jobs"])
def test_only_tests_import_tests(folder: str) -> None:
    modules = (PACKAGE.parent / folder).rglob("*.py")
    texts = {path.name: path.read_text(encoding="utf-8") for path in modules}
    pattern = re.compile(r"^\s*(from|import) tests\b", re.MULTILINE)
    assert [name for name, text in texts.items() if pattern.search(text)] == []
    assert texts


def test_dataframes_only() -> None:
    assert modules_that_match(r"\.sparkContext\b") == {"spark.py"}
    assert modules_that_match(r"\.rdd\b") == set()


def test_nothing_is_pickled_to_disk_and_no_text_is_run() -> None:
    pickles = r"\bpickle\.|torch\.(load|save)\(|np\.save|\bmarshal\.|\bjoblib\b|\bshelve\b"
    assert modules_that_match(pickles + r"|\beval\(|\bexec\(") == set()


@pytest.mark.parametrize("job", JOBS, ids=lambda path: path.stem)
def test_jobs_are_short(job: Path) -> None:
    assert len(job.read_text(encoding="utf-8").splitlines()) < 50


def test_no_folder_is_crowded() -> None:
    folders = Counter(path.parent for path in LIBRARY if path.name != "__init__.py")
    assert {str(f): n for f, n in folders.items() if n > 20} == {}


def test_public_classes_have_names_of_their_own() -> None:
    found = defaultdict[str, list[str]](list)
    for path in LIBRARY:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(PACKAGE)))
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def test_modules_share_a_name_only_where_they_are_one_concept() -> None:
    names = Counter(path.stem for path in LIBRARY if path.name != "__init__.py")
    names.update(path.name for path in PACKAGE.rglob("*") if (path / "__init__.py").is_file())
    assert {name for name, n in names.items() if n > 1} - ONE_CONCEPT_IN_LAYERS == set()
