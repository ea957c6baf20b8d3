"""The warehouse as readers and commands see it: pointer, runs, manifests, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mfspark.errors import (
    ConfigError,
    MfsparkError,
    NotFoundError,
    RefusedError,
    SchemaError,
)
from mfspark.tables.manifest import MANIFEST
from mfspark.tables.run import PublishedRun, read_table
from mfspark.tables.warehouse import Warehouse
from tests.support import made_nights as made
from tests.support.places import scratch_dir, table_dir


def test_looking_creates_nothing(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path / "none")
    assert warehouse.current() is None
    assert warehouse.run_ids() == []
    with pytest.raises(NotFoundError, match="no warehouse at"):
        warehouse.manifest()
    assert not Path(warehouse.root).exists()
    with pytest.raises(NotFoundError, match="nothing was published") as told:
        table_dir(PublishedRun(tmp_path), "serving")
    assert "mfspark run" in told.value.hint


def test_runs_newest_first_and_each_readable(tmp_path: Path) -> None:
    runs = [made.publish_marked(tmp_path, mark) for mark in (1.0, 2.0, 3.0)]
    warehouse = Warehouse(tmp_path)
    assert warehouse.current() == runs[-1]
    assert warehouse.run_ids() == runs[::-1]
    published = [warehouse.manifest(run).published_at for run in runs]
    assert published == sorted(published)
    assert read_table(tmp_path, "serving", runs[0]).to_table()["score"][0].as_py() == 1.0


def test_pointing_back_keeps_every_run(tmp_path: Path) -> None:
    runs = [made.publish_marked(tmp_path, mark) for mark in (1.0, 2.0)]
    warehouse = Warehouse(tmp_path)
    warehouse.point_at(runs[0], warehouse.pointed())
    assert warehouse.current() == runs[0]
    assert warehouse.run_ids() == runs[::-1]
    assert made.seen(tmp_path) == 1.0


def test_a_pointer_that_was_replaced_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    first = made.publish_marked(tmp_path, 1.0)
    warehouse = Warehouse(tmp_path)
    before = warehouse.pointed()
    second = made.publish_marked(tmp_path, 2.0)
    with pytest.raises(RefusedError, match="was replaced while"):
        warehouse.point_at(first, before)
    assert warehouse.current() == second


def test_missing_tables_and_runs_are_told_with_what_is_there(tmp_path: Path) -> None:
    run = made.publish_marked(tmp_path, 1.0)
    warehouse = Warehouse(tmp_path)
    with pytest.raises(NotFoundError, match=f"run {run} has no table 'completed'") as told:
        table_dir(PublishedRun(warehouse), "completed")
    assert told.value.hint == "tables there: metrics, serving"
    with pytest.raises(NotFoundError, match="no table is named 'topn'"):
        read_table(tmp_path, "topn")
    with pytest.raises(NotFoundError, match="no run 2020-01-01-00000000") as told:
        warehouse.manifest("2020-01-01-00000000")
    assert run in told.value.hint


@pytest.mark.parametrize("run_id", ["..", "../x", "a/b", "/etc", "", ".x", "a\nb"])
def test_run_ids_cannot_leave_the_warehouse(tmp_path: Path, run_id: str) -> None:
    made.publish_marked(tmp_path, 1.0)
    with pytest.raises(ConfigError, match="is not a name"):
        read_table(tmp_path, "serving", run_id)
    (tmp_path / "CURRENT").write_text(json.dumps({"run_id": run_id}))
    with pytest.raises(MfsparkError, match=r"pointer .* is damaged"):
        read_table(tmp_path, "serving")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"run_id": 3}', b"\xff"])
def test_a_damaged_pointer_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "CURRENT").write_bytes(content)
    with pytest.raises(MfsparkError, match="is damaged") as told:
        Warehouse(tmp_path).current()
    assert "run_id" in told.value.hint


def test_a_run_that_was_moved_but_never_pointed_at_is_no_run(tmp_path: Path) -> None:
    made.publish_marked(tmp_path, 1.0)
    night = made.ready(tmp_path, 2.0)
    scratch_dir(night, "tables").rename(tmp_path / "runs" / night.run_id)
    warehouse = Warehouse(tmp_path)
    assert night.run_id not in warehouse.run_ids()
    with pytest.raises(NotFoundError, match="no run"):
        warehouse.manifest(night.run_id)


def test_damage_to_a_run_is_told(tmp_path: Path) -> None:
    run = made.publish_marked(tmp_path, 1.0)
    directory = tmp_path / "runs" / run
    part = directory / "serving" / "part-1.parquet"
    content = part.read_bytes()
    part.unlink()
    with pytest.raises(MfsparkError, match=r"lacks part-1.parquet"):
        read_table(tmp_path, "serving")
    part.write_bytes(content)
    manifest = json.loads((directory / MANIFEST).read_text())
    manifest["id_types"]["user"] = "string"
    (directory / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(SchemaError, match="'user_id' is int64, should be string"):
        read_table(tmp_path, "serving")
    (directory / MANIFEST).write_text('{"run_id": 1}')
    with pytest.raises(MfsparkError, match=r"manifest .* is damaged"):
        read_table(tmp_path, "serving")
    (directory / MANIFEST).unlink()
    with pytest.raises(NotFoundError, match="is gone"):
        read_table(tmp_path, "serving")


def test_strays_in_a_run_directory_are_not_read(tmp_path: Path) -> None:
    run = made.publish_marked(tmp_path, 1.0)
    directory = tmp_path / "runs" / run / "serving"
    (directory / "part-9.parquet").write_bytes((directory / "part-0.parquet").read_bytes())
    assert read_table(tmp_path, "serving").count_rows() == 120


def test_a_url_of_no_storage_is_told(tmp_path: Path) -> None:
    for url in ("hdfs://host/w", "sftp://host/w"):
        with pytest.raises(ConfigError, match="not on a local file system"):
            Warehouse(url)
    with pytest.raises(ConfigError, match="as Hadoop spells it") as told:
        Warehouse("s3a://bucket/w")
    assert told.value.hint == "write s3://bucket/w"
    assert Warehouse(f"file://{tmp_path}").root == str(tmp_path)
    assert Warehouse("relative").root == str(Path.cwd() / "relative")
    with pytest.raises(ConfigError, match="empty"):
        Warehouse("")
