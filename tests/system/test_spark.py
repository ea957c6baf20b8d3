"""What a session that mfspark starts by itself is given; no JVM is started here."""

from __future__ import annotations

from pathlib import Path

import pytest

from mfspark.system import memory as machine
from mfspark.system import spark as session
from mfspark.system.memory import GIB, available_memory


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment that says nothing of memory, on a machine with 12 GiB free."""
    for name in ("PYSPARK_SUBMIT_ARGS", "SPARK_DRIVER_MEMORY", "SPARK_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    monkeypatch.setattr(session, "available_memory", lambda: 12 * GIB)
    return monkeypatch


@pytest.mark.parametrize(
    ("free", "expected"),
    [(12 * GIB, "4096m"), (64 * GIB, "8192m"), (2 * GIB, "1024m"), (None, None)],
)
def test_the_driver_gets_a_third_of_what_is_free(
    quiet: pytest.MonkeyPatch, free: int | None, expected: str | None
) -> None:
    quiet.setattr(session, "available_memory", lambda: free)
    assert session._defaults(small=False).get("spark.driver.memory") == expected


def test_small_inputs_need_no_more_than_spark_s_own(quiet: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    assert "spark.driver.memory" not in session._defaults(small=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PYSPARK_SUBMIT_ARGS", "--driver-memory 2g pyspark-shell"),
        ("PYSPARK_SUBMIT_ARGS", "--conf spark.driver.memory=2g pyspark-shell"),
        ("SPARK_DRIVER_MEMORY", "2g"),
        ("spark-defaults.conf", "spark.driver.memory 2g"),
    ],
)
def test_what_somebody_said_stands(
    quiet: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    if name.startswith("spark"):
        (tmp_path / "conf").mkdir()
        (tmp_path / "conf" / name).write_text(f"spark.app.name x\n{value}\n")
    else:
        quiet.setenv(name, value)
    assert "spark.driver.memory" not in session._defaults(small=False)


def test_a_remark_says_nothing(quiet: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "spark-defaults.conf").write_text("#spark.driver.memory 2g\n")
    quiet.setenv("SPARK_CONF_DIR", str(tmp_path))
    assert session._defaults(small=False)["spark.driver.memory"] == "4096m"


@pytest.mark.parametrize(
    ("limit", "used", "expected"), [("max", "5", None), ("1000000000", "400000000", 600_000_000)]
)
def test_a_container_has_what_it_is_allowed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str, used: str, expected: int | None
) -> None:
    whole = available_memory()
    assert whole is not None
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{used}\n")
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    found = available_memory()
    assert found is not None
    if expected:
        assert found == expected
    else:
        assert abs(found - whole) < GIB
