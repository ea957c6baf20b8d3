"""A made warehouse, and the command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from mfspark.cli import app
from tests.support import made_run as made

Command = Callable[..., Result]


@pytest.fixture(autouse=True)
def _plain_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MFSPARK_WAREHOUSE", "COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def made_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One published run of four users, made without Spark; only read it."""
    root = tmp_path_factory.mktemp("made")
    made.publish_run(root)
    return root


@pytest.fixture
def mfspark() -> Command:
    """Run a command and return its result; standard output and error are kept apart."""
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])
