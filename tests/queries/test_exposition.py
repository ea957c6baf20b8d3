"""What Prometheus scrapes: read by its own parser, and replaced whole."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mfspark.config.config import Config
from mfspark.errors import ConfigError, NotFoundError
from mfspark.queries.exposition import exposition, write_exposition
from mfspark.storage.posix import PosixStorage
from mfspark.tables.night import Night
from mfspark.tables.step_times import write_step_times
from mfspark.tables.warehouse import Warehouse
from tests.support import made_run as made
from tests.support.places import run_dir, scratch_dir

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """Read a text as Prometheus does; a series that comes twice is an error, as it is there."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge"
        assert family.documentation
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found
            found[key] = sample.value
    return found


def of(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((f"mfspark_{name}", frozenset(labels.items())))


def verdict(gate: str, subject: str, outcome: str, mode: str = "enforce") -> dict[str, Any]:
    return {"gate": gate, "subject": subject, "outcome": outcome, "mode": mode}


def with_verdicts(root: Path, run_id: str, *verdicts: dict[str, Any]) -> None:
    path = run_dir(Warehouse(root), run_id) / "manifest.json"
    manifest = json.loads(path.read_bytes())
    path.write_text(json.dumps(manifest | {"verdicts": verdicts}))


def test_everything_that_is_watched_is_there(tmp_path: Path) -> None:
    run = made.publish_run(tmp_path)
    twice = verdict("audits", "top_n: ranks", "passed")
    with_verdicts(
        *(tmp_path, run, {**twice, "outcome": "failed"}, twice),
        *(verdict("rating", "als", "passed"), verdict("drift", "ratings", "skipped", "warn")),
    )
    warehouse = Warehouse(tmp_path)
    write_step_times(warehouse.storage, "run", {"train als": 12.5})
    found = samples(exposition(warehouse))
    published = warehouse.manifest(run).published_at.timestamp()
    assert of(found, "published_timestamp_seconds") == published
    assert of(found, "table_rows", table="ratings") == 8
    assert of(found, "input_rows", outcome="rejected") == 2
    assert of(found, "rejected_share") == 2 / 11
    assert of(found, "rejected_rows", reason="missing_user") == 1
    assert of(found, "metric", model="als", metric="rmse", k="") == 0.875
    assert of(found, "metric_low", model="als", metric="ndcg", k="10") == 0.375
    assert of(found, "gate_passed", gate="rating", subject="als", mode="enforce") == 1
    assert of(found, "gate_passed", gate="audits", subject="top_n: ranks", mode="enforce") == 0
    assert of(found, "gate_passed", gate="drift", subject="ratings", mode="warn") is None
    assert of(found, "step_seconds", work="run", step="train als") == 12.5
    assert of(found, "nights", state="refused") == 0
    assert of(found, "refused_timestamp_seconds") is None
    (info,) = [dict(labels) for name, labels in found if name == "mfspark_run_info"]
    assert (info["run_id"], info["run_date"], info["served"]) == (run, "2026-11-22", "user_knn")


def test_a_night_that_was_refused_since_has_the_last_word(tmp_path: Path) -> None:
    with_verdicts(tmp_path, made.publish_run(tmp_path), verdict("rating", "als", "passed"))
    night = Night.begin(Warehouse(tmp_path), Config(), date(2026, 11, 24), [])
    labels = {"gate": "rating", "subject": "als", "mode": "enforce"}
    for refused_at, passed in ((datetime(2020, 1, 1, tzinfo=UTC), 1), (datetime.now(UTC), 0)):
        why = {
            "reasons": ["worse"],
            "refused_at": refused_at.isoformat(),
            "verdicts": [verdict("rating", "als", "failed")],
        }
        scratch_dir(night, "why.json").write_text(json.dumps(why))
        found = samples(exposition(Warehouse(tmp_path)))
        assert of(found, "gate_passed", **labels) == passed
        assert of(found, "nights", state="refused") == 1
        assert of(found, "refused_timestamp_seconds") == pytest.approx(refused_at.timestamp())


def test_before_anything_was_published_open_nights_are_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        exposition(Warehouse(tmp_path))
    Night.begin(Warehouse(tmp_path), Config(), date(2026, 11, 24), [])
    found = samples(exposition(Warehouse(tmp_path)))
    assert of(found, "nights", state="open") == 1
    assert of(found, "published_timestamp_seconds") is None


def test_labels_are_quoted(tmp_path: Path) -> None:
    with_verdicts(tmp_path, made.publish_run(tmp_path), verdict("audits", 'a "b"\\\nc', "passed"))
    found = samples(exposition(Warehouse(tmp_path)))
    labels = {"gate": "audits", "subject": 'a "b"\\\nc', "mode": "enforce"}
    assert of(found, "gate_passed", **labels) == 1


def test_the_file_is_replaced_whole_and_others_may_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.publish_run(tmp_path / "w")
    target = tmp_path / "mfspark.prom"
    target.write_text("before")
    seen: list[tuple[str, str]] = []

    def replaced(_: PosixStorage, source: Path, to: Path) -> None:
        seen.append((source.name, to.read_text()))
        source.replace(to)

    monkeypatch.setattr(PosixStorage, "_replace", replaced)
    write_exposition(Warehouse(tmp_path / "w"), target)
    assert seen == [(".mfspark.prom.tmp", "before")], "not a name that the collector looks at"
    assert target.read_text() == exposition(Warehouse(tmp_path / "w"))
    assert [path.name for path in tmp_path.glob("*.prom*")] == ["mfspark.prom"]
    assert target.stat().st_mode & 0o444 == 0o444
    with pytest.raises(ConfigError, match="there is no directory"):
        write_exposition(Warehouse(tmp_path / "w"), tmp_path / "no" / "mfspark.prom")
