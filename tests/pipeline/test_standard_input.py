from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest

from mfspark.config.config import Config
from mfspark.errors import InputError
from mfspark.pipeline.standard_input import spooled
from mfspark.storage.posix import PosixStorage


def piped(monkeypatch: pytest.MonkeyPatch, content: bytes, *, terminal: bool = False) -> None:
    stdin = SimpleNamespace(buffer=io.BytesIO(content), isatty=lambda: terminal)
    monkeypatch.setattr("sys.stdin", stdin)


def config(*ratings: str) -> Config:
    return Config.model_validate({"inputs": {"ratings": list(ratings)}})


def test_a_file_stands_for_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"1,2,3\n")
    with spooled(config("a.csv", "-"), PosixStorage(str(tmp_path))) as read:
        first, path = read.inputs.ratings
        assert first == "a.csv"
        assert Path(path).read_bytes() == b"1,2,3\n"
        assert Path(path).is_relative_to(tmp_path / "scratch")
    assert not Path(path).parent.exists()


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    given = config("a.csv")
    with spooled(given, PosixStorage(str(tmp_path))) as read:
        assert read is given
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "terminal", "message"), [(b"", False, "is empty"), (b"1,2,3\n", True, "nothing is")]
)
def test_nothing_on_standard_input_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, terminal: bool, message: str
) -> None:
    piped(monkeypatch, content, terminal=terminal)
    with (
        pytest.raises(InputError, match=message),
        spooled(config("-"), PosixStorage(str(tmp_path))),
    ):
        pass
    assert not list((tmp_path / "scratch").iterdir()) if (tmp_path / "scratch").exists() else True
