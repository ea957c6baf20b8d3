"""The manifest: what it holds, and what it must not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mfspark.tables.manifest import plain
from mfspark.tables.publish import publish
from mfspark.tables.warehouse import Warehouse
from tests.support import made_nights as made
from tests.support.records import raw


@pytest.mark.parametrize(
    "key",
    ["password", "db_password", "DB_PASSWORD", "secret", "fs.s3a.secret.key", "fs.s3a.access.key",
     "token", "sessionToken", "api_key", "apikey", "api-key", "key", "credentials", "accountKey"],
)  # fmt: skip
def test_values_of_secret_keys_are_redacted(key: str) -> None:
    assert plain({"a": [{key: "hunter2"}]}) == {"a": [{key: "***"}]}


@pytest.mark.parametrize("key", ["keyword", "monkey", "rank", "user_key_count", "signal", "keys_n"])
def test_other_keys_are_kept(key: str) -> None:
    assert plain({key: "kept"}) == {key: "kept"}


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("jdbc:x?user=me&password=hunter2&ssl=1", "jdbc:x?user=me&password=***&ssl=1"),
        ("https://me:hunter2@host/a.csv", "https://***@host/a.csv"),
        ("ftp://me:hun@ter2@host/a.csv", "ftp://***@host/a.csv"),
        ("s3://b/a?X-Amz-Signature=hunter2&x=1", "s3://b/a?X-Amz-Signature=***&x=1"),
        ("az://c/a?sv=1&sig=hunter2", "az://c/a?sv=1&sig=***"),
        ("--conf spark.x.key=hunter2 -v", "--conf spark.x.key=*** -v"),
        ("apikey=hunter2", "apikey=***"),
        ("monkey=banana", "monkey=banana"),
        ("/data/ratings@home.csv", "/data/ratings@home.csv"),
    ],
)
def test_secrets_inside_texts_are_redacted(text: str, clean: str) -> None:
    assert plain([text]) == [clean]


def test_no_secret_reaches_any_file_of_a_warehouse(tmp_path: Path) -> None:
    from mfspark.config.config import Config
    from mfspark.tables.night import Night

    inputs = [{"path": "sftp://me:hunter2@host/r.csv", "token": "hunter2", "bytes": 3}]
    night = Night.begin(Warehouse(tmp_path), Config(), made.RUN_DATE, inputs)
    made.write_tables(night, 1.0)
    night.finish(raw("ingest"), {"url": "https://h/?token=hunter2"})
    early = [p.read_bytes() for p in tmp_path.glob("scratch/*/*.json")]
    early += [p.read_bytes() for p in tmp_path.glob("scratch/*/stages/*.json")]
    publish(night, made.IDS, [{"secret": "hunter2"}], [{"why": "password=hunter2"}])
    texts = early + [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()]
    assert len(early) == 2
    assert not any(b"hunter2" in text for text in texts)
    manifest = Warehouse(tmp_path).manifest()
    assert manifest.inputs == [{"path": "sftp://***@host/r.csv", "token": "***", "bytes": 3}]


def test_values_become_plain_json() -> None:
    value = {
        "f": np.float64("nan"), "i": np.int32(3), "b": np.bool_(True), "a": np.array([1.5, np.inf]),
        "p": Path("x"), "d": made.RUN_DATE, "t": (1, 2), "n": None, 3: float("-inf"),
    }  # fmt: skip
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == {
        "f": None, "i": 3, "b": True, "a": [1.5, None],
        "p": "x", "d": "2026-11-22", "t": [1, 2], "n": None, "3": None,
    }  # fmt: skip


def test_a_manifest_survives_its_file(tmp_path: Path) -> None:
    night = made.ready(tmp_path, 1.0)
    told = publish(night, made.IDS, [{"rmse": float("nan")}], [{"gate": "rows", "ok": True}])
    found = Warehouse(tmp_path).manifest()
    assert found == told
    assert found.metrics == [{"rmse": None}]
    assert found.seed == 42
    assert set(found.versions) == {
        "python", "mfspark", "pyspark", "torch", "numpy", "pyarrow", "pandas"
    }  # fmt: skip
    raw = json.loads((tmp_path / "runs" / night.run_id / "manifest.json").read_text())
    assert raw["tables"]["serving"]["schema"]["score"] == "double"
