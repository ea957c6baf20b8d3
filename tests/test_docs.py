"""What the documents name exists: modules, paths, keys of the configuration."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_origin

import pytest
from pydantic import BaseModel

from mfspark.config.config import Config

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path
    for folder in (
        ROOT,
        ROOT / "docs",
        ROOT / "conf",
        ROOT / "conf" / "airflow",
        ROOT / "benchmarks",
    )
    for path in folder.glob("*")
    if path.is_file()
    and path.suffix in {".md", ".toml", ".conf", ".example"}
    and path.name not in {"CHANGELOG.md", "pyproject.toml"}  # what was, and what has its own checks
)
SECTIONS = [name for name in Config.model_fields if name not in {"seed", "warehouse"}]
_PATH = re.compile(r"\b((?:mfspark|tests|benchmarks|docs|conf|jobs|scripts)/[\w./*{},-]*\w)")
_MODULE = re.compile(r"(?<![\w/.-])mfspark\.([a-z_]+(?:\.[a-z_]+)*)")
_KEY = re.compile(rf"(?<![\w./])({'|'.join(SECTIONS)})((?:\.[a-z_]+)+)\b(?!\.?(?:md|csv|py)\b)")
SOURCES = sorted((ROOT / "mfspark").rglob("*.py"))
_ROOMS = sorted(path.parent.name for path in (ROOT / "mfspark").glob("*/__init__.py"))
_OWN_MODULE = re.compile(rf"(?<![\w./-])(?:{'|'.join(_ROOMS)})(?:\.[a-z_]\w*)+(?:\.[A-Z]\w*)?")
_FUNCTIONS = {"fold_in", "read_table", "rejected_by_fold_in"}  # of the package itself


def _exists(key: list[str]) -> bool:
    kind: Any = Config
    for name in key:
        if get_origin(kind) is Mapping:  # whose keys are anybody's
            return True
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return False
        if name not in kind.model_fields:
            return False
        kind = kind.model_fields[name].annotation
    return True


def _is_module(dotted: str) -> bool:
    """Whether it is a module, or something defined in one."""
    parts = dotted.split(".")
    for n in range(len(parts), 0, -1):
        path = ROOT / "mfspark" / "/".join(parts[:n])
        if path.is_dir() or path.with_suffix(".py").is_file():
            rest = parts[n:]
            source = path.with_suffix(".py")
            return not rest or (
                source.is_file() and re.search(rf"\b{rest[0]}\b", source.read_text())
            )
    return False


def _strays(text: str) -> Iterator[str]:
    for path in _PATH.findall(text):
        if not any(ROOT.glob(re.sub(r"\{[^}]*\}", "*", path))):
            yield path
    for dotted in _MODULE.findall(text):
        if dotted not in _FUNCTIONS and not _is_module(dotted):
            yield f"mfspark.{dotted}"
    for section, rest in _KEY.findall(text):
        dotted = f"{section}{rest}"
        if rest in {".md", ".csv", ".py"}:  # files
            continue
        if not _exists(dotted.split(".")) and not _is_module(dotted):
            yield dotted


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_everything_that_is_named_exists(page: Path) -> None:
    assert sorted(set(_strays(page.read_text(encoding="utf-8")))) == []


def _prose(source: str) -> str:
    """Return the docstrings and comments of a module."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    said = [t.string for t in tokens if t.type == tokenize.COMMENT or '"""' in t.string]
    return "\n".join(said)


@pytest.mark.parametrize("module", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_that_a_docstring_names_exists(module: Path) -> None:
    """Docstrings leave `mfspark.` out: kernels.factorization.ridge, or a key, models.warm_start."""
    named = set(_OWN_MODULE.findall(_prose(module.read_text(encoding="utf-8"))))
    assert [name for name in named if not _exists(name.split(".")) and not _is_module(name)] == []
