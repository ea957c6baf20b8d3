"""Rolling back, nights of earlier dates, and what is removed: never what a reader may hold."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mfspark.config.config import Config
from mfspark.errors import LockedError, MfsparkError, NotFoundError, RefusedError
from mfspark.queries.runs import open_nights
from mfspark.tables.lock import hold_lock
from mfspark.tables.night import Night
from mfspark.tables.publish import damages, publish, rollback
from mfspark.tables.retention import collect
from mfspark.tables.run import PublishedRun, read_table
from mfspark.tables.warehouse import Warehouse
from tests.support import made_nights as made
from tests.support import made_run
from tests.support.places import pointer, run_dir, scratch_dir, table_dir

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def begin(root: Any, day: int, mark: float | None = None, **config: object) -> Night:
    """Begin the night of a day of November, with its day as its mark."""
    inputs = [{"mark": mark or float(day)}]
    options = Config.model_validate(config)
    return Night.begin(Warehouse(root), options, date(2026, 11, day), inputs)


def publish_day(root: Any, day: int, mark: float | None = None, **config: object) -> str:
    night = begin(root, day, mark, **config)
    made.write_tables(night, mark or float(day))
    return publish(night, made.IDS, [{"model": "als", "rmse": mark or float(day)}], []).run_id


# --- the order of nights ------------------------------------------------------------------------


def test_a_night_of_an_earlier_date_is_published_behind(tmp_path: Path) -> None:
    single = {"publish": {"single_file": True}}
    late = publish_day(tmp_path, 22, **single)
    early = publish_day(tmp_path, 20, **single)
    between = publish_day(tmp_path, 21, **single)
    warehouse = Warehouse(tmp_path)
    assert made.seen(tmp_path) == 22.0
    assert warehouse.run_ids() == [late, between, early]
    exported = pq.read_table(tmp_path / "exports" / "serving.parquet")
    assert set(exported["score"].to_pylist()) == {22.0}
    assert begin(tmp_path, 21, **single).published


def test_a_night_builds_upon_the_last_one_of_an_earlier_date(tmp_path: Path) -> None:
    first, third = publish_day(tmp_path, 20), publish_day(tmp_path, 22)
    again = begin(tmp_path, 22, mark=9.0)
    assert (again.current_run, again.base_run, again.reference_run) == (third, first, third)
    between = begin(tmp_path, 21)
    assert (between.current_run, between.base_run, between.reference_run) == (third, first, first)
    later = begin(tmp_path, 23)
    assert (later.current_run, later.base_run, later.reference_run) == (third, third, third)
    earliest = begin(tmp_path, 19)
    assert (earliest.current_run, earliest.base_run, earliest.reference_run) == (third, None, None)


def test_a_night_keeps_its_base_when_it_goes_on_and_when_it_is_published(tmp_path: Path) -> None:
    first = publish_day(tmp_path, 20)
    night = begin(tmp_path, 22)
    publish_day(tmp_path, 21)  # moves CURRENT, so that night 22 can no longer be published
    assert begin(tmp_path, 22).base_run == night.base_run == first
    rollback(night.warehouse, first)
    made.write_tables(night, 22.0)
    publish(night, made.IDS, [{"model": "als", "rmse": 22.0}], [])
    published = begin(tmp_path, 22)
    assert (published.published, published.base_run) == (True, first)


# --- rollback -----------------------------------------------------------------------------------


def test_readers_are_sent_back_and_forth(tmp_path: Path) -> None:
    single = {"publish": {"single_file": True}}
    runs = [publish_day(tmp_path, day, **single) for day in (20, 21)]
    warehouse = Warehouse(tmp_path)
    rollback(warehouse, runs[0])
    assert made.seen(tmp_path) == 20.0
    exported = tmp_path / "exports" / "serving.parquet"
    assert set(pq.read_table(exported)["score"].to_pylist()) == {20.0}
    assert warehouse.run_ids() == runs[::-1]
    rollback(warehouse, runs[1])
    assert made.seen(tmp_path) == 21.0
    assert set(pq.read_table(exported)["score"].to_pylist()) == {21.0}


def test_the_file_of_an_older_version_follows_and_none_is_of_another_night(tmp_path: Path) -> None:
    """A run without table `serving` leaves no file of it, rather than that of another night."""
    single = {"publish": {"single_file": True}}
    older = made_run.publish_run(tmp_path, date(2026, 11, 20), served=None)
    newer = made_run.publish_run(tmp_path, date(2026, 11, 21), **single)
    exports, warehouse = tmp_path / "exports", Warehouse(tmp_path)
    assert [path.name for path in exports.iterdir()] == ["serving.parquet"]
    (exports / "top_n.parquet").write_text("of an older version")
    rollback(warehouse, older)
    assert [path.name for path in exports.iterdir()] == ["top_n.parquet"]
    rows = read_table(warehouse, "top_n", older).to_table()
    assert pq.read_table(exports / "top_n.parquet").num_rows == rows.num_rows
    made_run.publish_run(tmp_path, date(2026, 11, 22), served="als", **single)
    assert set(pq.read_table(exports / "serving.parquet")["model"].to_pylist()) == {"als"}
    rollback(warehouse, newer)
    assert set(pq.read_table(exports / "serving.parquet")["model"].to_pylist()) == {"user_knn"}


def test_after_a_rollback_the_bad_night_does_not_come_back_by_itself(tmp_path: Path) -> None:
    runs = [publish_day(tmp_path, day) for day in (20, 21)]
    rollback(Warehouse(tmp_path), runs[0])
    assert begin(tmp_path, 21).published
    assert made.seen(tmp_path) == 20.0
    night = begin(tmp_path, 22)
    assert night.base_run == runs[0]


def test_a_night_that_ran_during_a_rollback_is_refused(tmp_path: Path) -> None:
    runs = [publish_day(tmp_path, day) for day in (20, 21)]
    night = begin(tmp_path, 22)
    made.write_tables(night, 22.0)
    rollback(night.warehouse, runs[0])
    with pytest.raises(RefusedError, match=f"{runs[0]} is current now"):
        publish(night, made.IDS, [], [])
    assert made.seen(tmp_path) == 20.0


def test_what_is_damaged_or_unknown_is_not_rolled_back_to(tmp_path: Path) -> None:
    runs = [publish_day(tmp_path, day) for day in (20, 21)]
    warehouse = Warehouse(tmp_path)
    part = table_dir(PublishedRun(warehouse, runs[0]), "serving") / "part-1.parquet"
    content = part.read_bytes()
    part.write_bytes(content[:-1])
    with pytest.raises(MfsparkError, match="bytes, its manifest says"):
        rollback(warehouse, runs[0])
    part.unlink()
    with pytest.raises(MfsparkError, match=r"part-1.parquet is missing; readers stay"):
        rollback(warehouse, runs[0])
    with pytest.raises(NotFoundError, match="no run 2020-01-01-00000000"):
        rollback(warehouse, "2020-01-01-00000000")
    assert made.seen(tmp_path) == 21.0


# --- verify -------------------------------------------------------------------------------------


def test_each_damage_of_a_run_is_named(tmp_path: Path) -> None:
    run = publish_day(tmp_path, 20)
    warehouse = Warehouse(tmp_path)
    manifest, parts = warehouse.manifest(run), table_dir(PublishedRun(warehouse, run), "serving")
    assert list(damages(warehouse, run)) == []
    content = bytearray((parts / "part-0.parquet").read_bytes())
    content[len(content) // 2] ^= 1  # one bit
    (parts / "part-0.parquet").write_bytes(content)
    (parts / "part-1.parquet").write_bytes(content[:9])
    (parts / "part-2.parquet").rename(parts / "part-9.parquet")
    size = manifest.tables["serving"].files[1].bytes
    named = [damage.removeprefix(f"{parts}/") for damage in damages(warehouse, run)]
    assert named == [
        "part-9.parquet is not in the manifest",
        "part-0.parquet has not the content that was published",
        f"part-1.parquet has 9 bytes, its manifest says {size:,}",
        "part-2.parquet is missing",
    ]
    (run_dir(warehouse, run) / "manifest.json").write_text("{")
    (damage,) = damages(warehouse, run)
    assert "manifest.json is damaged" in damage
    (run_dir(warehouse, run) / "manifest.json").unlink()
    (damage,) = damages(warehouse, run)
    assert "manifest.json is gone" in damage
    with pytest.raises(NotFoundError, match="no run"):
        list(damages(warehouse, "2020-01-01-00000000"))


# --- gc -----------------------------------------------------------------------------------------


def test_the_newest_runs_are_kept(tmp_path: Path) -> None:
    runs = [publish_day(tmp_path, day) for day in range(10, 16)]
    warehouse = Warehouse(tmp_path)
    removed = collect(warehouse, keep=2, now=NOW + 2 * DAY)
    assert sorted(removed.runs) == runs[:4]
    assert warehouse.run_ids() == runs[:3:-1]
    assert made.seen(tmp_path) == 15.0
    with pytest.raises(NotFoundError, match="no run"):
        warehouse.manifest(runs[0])
    assert collect(warehouse, keep=2, now=NOW + 2 * DAY).runs == []
    assert warehouse.pointed().runs == tuple(runs[:3:-1]), "the pointer forgets what is gone"
    assert publish_day(tmp_path, 16)
    assert len(json.loads(pointer(warehouse).read_bytes())["runs"]) == 3


def test_what_a_killed_removal_left_goes_with_the_next_one(tmp_path: Path) -> None:
    """It was taken off the published runs, and half of it is there still."""
    runs = [publish_day(tmp_path, day) for day in (10, 11)]
    warehouse = Warehouse(tmp_path)
    warehouse.forget([runs[0]], warehouse.pointed())
    (run_dir(warehouse, runs[0]) / "manifest.json").unlink()
    assert warehouse.run_ids() == [runs[1]]
    assert made.seen(tmp_path) == 11.0
    removed = collect(warehouse, keep=1, now=NOW + 2 * DAY)
    assert (removed.runs, removed.scratch) == ([], [runs[0]])
    assert not run_dir(warehouse, runs[0]).exists()


def test_runs_are_not_forgotten_by_a_pointer_that_was_replaced_meanwhile(tmp_path: Path) -> None:
    first = publish_day(tmp_path, 10)
    warehouse = Warehouse(tmp_path)
    before = warehouse.pointed()
    second = publish_day(tmp_path, 11)
    with pytest.raises(RefusedError, match="nothing was removed"):
        warehouse.forget([first], before)
    assert warehouse.run_ids() == [second, first]


def test_a_run_that_readers_were_just_sent_to_stays(tmp_path: Path) -> None:
    """Its age does not count, but how long ago it was current."""
    runs = [publish_day(tmp_path, day) for day in (10, 11)]
    warehouse = Warehouse(tmp_path)
    age(warehouse, runs[0], published=NOW - 30 * DAY)
    assert collect(warehouse, keep=1).runs == []
    assert collect(warehouse, keep=1, now=NOW + timedelta(hours=23)).runs == []
    assert collect(warehouse, keep=1, now=NOW + timedelta(hours=25)).runs == [runs[0]]


def test_grace_begins_anew_when_readers_leave_again(tmp_path: Path) -> None:
    runs = [publish_day(tmp_path, day) for day in (10, 11)]
    warehouse = Warehouse(tmp_path)
    left(warehouse, runs[0], NOW - 5 * DAY)
    rollback(warehouse, runs[0])
    rollback(warehouse, runs[1])
    assert collect(warehouse, keep=1).runs == []
    left(warehouse, runs[0], NOW - 5 * DAY)
    assert collect(warehouse, keep=1).runs == [runs[0]]


def test_what_readers_see_stays_however_old(tmp_path: Path) -> None:
    runs = [publish_day(tmp_path, day) for day in (10, 11, 12, 13)]
    warehouse = Warehouse(tmp_path)
    rollback(warehouse, runs[0])
    removed = collect(warehouse, keep=1, now=NOW + 90 * DAY)
    assert sorted(removed.runs) == runs[1:3]
    assert made.seen(tmp_path) == 10.0


def test_nights_in_scratch_go_when_they_cannot_be_published_any_more(tmp_path: Path) -> None:
    base = publish_day(tmp_path, 10)
    dead = begin(tmp_path, 11)
    publish_day(tmp_path, 12)
    alive = begin(tmp_path, 13)
    warehouse = Warehouse(tmp_path)
    assert collect(warehouse, keep=5).scratch == [], "younger than the grace time"
    assert collect(warehouse, keep=5, now=NOW + 2 * DAY).scratch == [dead.run_id]
    assert scratch_dir(alive).is_dir()
    assert not scratch_dir(dead).exists()
    assert warehouse.run_ids()[-1] == base


def test_what_a_night_in_scratch_builds_upon_stays(tmp_path: Path) -> None:
    base = publish_day(tmp_path, 10)
    publish_day(tmp_path, 12)
    night = begin(tmp_path, 11)
    assert night.base_run == base
    assert collect(Warehouse(tmp_path), keep=1, now=NOW + 2 * DAY).runs == []


def test_what_a_kill_left_among_the_runs_goes_when_it_is_old(tmp_path: Path) -> None:
    publish_day(tmp_path, 10)
    night = begin(tmp_path, 11)
    made.write_tables(night, 11.0)
    scratch_dir(night, "tables").rename(tmp_path / "runs" / night.run_id)
    warehouse = Warehouse(tmp_path)
    assert collect(warehouse, keep=5, now=NOW + 2 * DAY).scratch == [], "the night may go on"
    publish_day(tmp_path, 12)
    assert collect(warehouse, keep=5).scratch == []
    assert collect(warehouse, keep=5, now=NOW + 2 * DAY).scratch == [night.run_id]
    assert made.seen(tmp_path) == 12.0


def test_what_is_not_ours_is_never_removed_nor_taken_for_a_night(tmp_path: Path) -> None:
    publish_day(tmp_path, 10)
    names = (
        "CURRENT.txt",
        "runs/notes",
        "runs/other/part-1",
        "scratch/my table/x",
        "scratch/y",
        "z",
    )
    for name in names:
        place = tmp_path / name
        place.parent.mkdir(exist_ok=True)
        place.write_text("not ours")
        os.utime(place, (0, 0))
    warehouse = Warehouse(tmp_path)
    removed = collect(warehouse, keep=1, now=NOW + 9 * DAY)
    assert removed.runs == removed.scratch == []
    assert open_nights(warehouse) == []
    assert publish_day(tmp_path, 11)
    assert all((tmp_path / name).read_text() == "not ours" for name in names)


def test_what_no_manifest_names_goes_when_it_is_old(object_storage: Any) -> None:
    """A task that was thought dead ends its file after the night was published."""
    storage = object_storage("moto")
    run = publish_day(storage, 10)
    listed = {file.key for file in storage.files("runs")}
    stray = f"runs/{run}/serving/part-00000-late.parquet"
    storage.put(stray, b"late")
    warehouse = Warehouse(storage)
    assert collect(warehouse, keep=5).strays == [], "younger than the grace time"
    assert collect(warehouse, keep=5, now=NOW + 2 * DAY).strays == [storage.show(stray)]
    assert {file.key for file in storage.files("runs")} == listed
    assert list(damages(warehouse, run)) == []


def test_on_a_disk_files_of_others_stay(tmp_path: Path) -> None:
    """No task writes where readers look, so what is there is somebody's."""
    run = publish_day(tmp_path, 10)
    note = run_dir(Warehouse(tmp_path), run) / "serving" / "note.txt"
    note.write_text("mine")
    assert collect(Warehouse(tmp_path), keep=5, now=NOW + 2 * DAY).strays == []
    assert note.read_text() == "mine"


def test_nothing_is_removed_while_a_night_runs(tmp_path: Path) -> None:
    publish_day(tmp_path, 10)
    warehouse = Warehouse(tmp_path)
    with hold_lock(warehouse), pytest.raises(LockedError):
        collect(warehouse, keep=1)
    with hold_lock(warehouse, "train"), pytest.raises(LockedError):
        collect(warehouse, keep=1)


def age(warehouse: Warehouse, run_id: str, published: datetime) -> None:
    path = run_dir(warehouse, run_id) / "manifest.json"
    manifest = json.loads(path.read_bytes())
    path.write_text(json.dumps({**manifest, "published_at": published.isoformat()}))


def left(warehouse: Warehouse, run_id: str, at: datetime) -> None:
    content = json.loads(pointer(warehouse).read_bytes())
    content["left"][run_id] = at.isoformat()
    pointer(warehouse).write_text(json.dumps(content))
