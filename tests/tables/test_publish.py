"""Publishing: killed, failed and watched at every step, against three prior states."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mfspark.errors import ConfigError, MfsparkError, RefusedError
from mfspark.tables.lock import hold_pointer_lock
from mfspark.tables.night import Night
from mfspark.tables.publish import publish
from mfspark.tables.warehouse import Warehouse
from tests.support import made_nights as made
from tests.support.rounds import long_only

OLD, NEW = 1.0, 2.0
EXPORT = {"publish": {"single_file": True}}
PRIOR = {"none": None, "older": OLD, "same": NEW}

spawning = multiprocessing.get_context("forkserver")
spawning.set_forkserver_preload(["tests.support.made_nights"])


@pytest.fixture
def prior(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, float | None]:
    """A warehouse in one prior state, with the NEW night's tables written, and its visible mark."""
    root, before = tmp_path / "prior", PRIOR[request.param]
    if before == OLD:
        made.publish_marked(root, OLD)
    night = made.ready(root, NEW, **EXPORT)
    if before == NEW:  # as a kill just after the pointer moved leaves it
        kept = shutil.copytree(root / night.scratch(), tmp_path / "kept")
        publish(night, made.IDS, [{"model": "als", "rmse": NEW}], [])
        shutil.rmtree(kept / "tables")
        shutil.copytree(kept, root / "scratch" / night.run_id)
    return root, before


def all_priors(test: object) -> object:
    return pytest.mark.parametrize("prior", PRIOR, indirect=True)(test)


def moments(root: Path, tmp_path: Path) -> list[tuple[int, str, str]]:
    """Publish a copy once, and return every (step, name, before/in/after) it went through."""
    seen: list[tuple[int, str, str]] = []
    copy = shutil.copytree(root, tmp_path / "counted")
    storage = made.StepStorage(copy, lambda *moment: seen.append(moment))
    publish(made.begin(copy, NEW, storage, **EXPORT), made.IDS, [{"model": "als", "rmse": NEW}], [])
    # After a step is before the next one, apart from the last.
    return [moment for moment in seen[:-1] if moment[2] != "after"] + seen[-1:]


def assert_whole(root: Path) -> None:
    """NEW is published, once, with its export; nothing is left in scratch."""
    assert made.seen(root) == NEW
    warehouse = Warehouse(root)
    assert sorted(p.name for p in (root / "runs").iterdir()) == sorted(warehouse.run_ids())
    assert list((root / "scratch").iterdir()) == []
    assert [p.name for p in (root / "exports").iterdir()] == ["serving.parquet"]
    assert set(pq.read_table(root / "exports" / "serving.parquet")["score"].to_pylist()) == {NEW}


@all_priors
def test_killed_at_any_moment_readers_are_whole_and_a_rerun_publishes(
    prior: tuple[Path, float | None], tmp_path: Path
) -> None:
    root, before = prior
    steps = moments(root, tmp_path)
    assert len(steps) > (4 if before == NEW else 28)
    for step, name, when in steps:
        copy = shutil.copytree(root, tmp_path / "copy")
        child = spawning.Process(
            target=made.publish_and_die, args=(str(copy), NEW, step, when, EXPORT)
        )
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL, f"the kill {when} step {step} did not happen"

        assert made.seen(copy) in (before, NEW), f"killed {when} {name} (step {step})"
        made.publish_marked(copy, NEW, **EXPORT)
        assert_whole(copy)
        shutil.rmtree(copy)


@pytest.mark.faults
@long_only
@all_priors
def test_killed_at_random_times(prior: tuple[Path, float | None], tmp_path: Path) -> None:
    """A thousand kills of the three priors together, wherever they hit: also inside a step."""
    root, before = prior
    draw, n_ended, saw_new = random.Random(7), 0, Counter[bool]()
    whole = max(publish_for(root, tmp_path, before, None)[1] for _ in range(5))
    while saw_new.total() < 334:
        killed, _, seen = publish_for(root, tmp_path, before, draw.uniform(0, whole))
        n_ended += not killed
        if killed:
            saw_new[seen == NEW] += 1
        assert n_ended < 5000, "hardly any kill is in time"
    print(f"{saw_new.total()} killed, {saw_new[True]} of them saw the new run; {n_ended} ended")
    assert before == NEW or saw_new[False] > 0


def publish_for(
    root: Path, tmp_path: Path, before: float | None, seconds: float | None
) -> tuple[bool, float, float | None]:
    """Publish a copy in a process that is killed after some seconds; check it, and run it again.

    Returns whether it was killed, the seconds that it ran, and the night that readers then saw.
    """
    copy = shutil.copytree(root, tmp_path / "copy")
    ready = spawning.Event()
    child = spawning.Process(target=made.publish_when_asked, args=(str(copy), NEW, EXPORT, ready))
    child.start()
    ready.wait()
    began = time.monotonic()
    if seconds is not None:
        time.sleep(seconds)
        child.kill()
    child.join()
    took = time.monotonic() - began
    assert child.exitcode in (0, -signal.SIGKILL)
    seen = made.seen(copy)
    assert seen in (before, NEW)
    made.publish_marked(copy, NEW, **EXPORT)
    assert_whole(copy)
    shutil.rmtree(copy)
    return child.exitcode != 0, took, seen


@pytest.mark.faults
@long_only
def test_a_full_disk_is_told_and_a_rerun_publishes(tmp_path: Path) -> None:
    """A real one, of a size from nothing to enough; where mounting is not allowed it is skipped."""
    disk = tmp_path / "disk"
    disk.mkdir()
    fates = Counter[str]()
    for kib in range(16, 140, 4):
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", disk],
            capture_output=True,
            check=False,
        )
        if mounted.returncode:
            pytest.skip("mounting a tmpfs is not allowed here")
        try:
            fates[on_a_small_disk(disk)] += 1
        finally:
            subprocess.run(["umount", "--lazy", disk], check=True)  # an error may hold a file
    print(dict(fates))
    assert fates["full"] >= 5
    assert fates["published"] >= 3


def on_a_small_disk(disk: Path) -> str:
    """Publish a run, then another; say whether the second found the disk full, after all checks."""
    root = disk / "wh"
    try:
        made.publish_marked(root, OLD, **EXPORT)
    except (MfsparkError, OSError, pa.ArrowException):
        return "too small for the first"
    full: Exception | None = None
    try:
        made.publish_marked(root, NEW, **EXPORT)
    except (MfsparkError, OSError, pa.ArrowException) as error:
        full = error
    if full:
        assert made.seen(root) == OLD
        if isinstance(full, MfsparkError):
            assert "free some space and run the same command again" in full.hint
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        made.publish_marked(root, NEW, **EXPORT)
        assert_whole(root)
        return "full"
    assert_whole(root)
    return "published"


@all_priors
def test_a_failing_disk_is_told_and_a_rerun_publishes(
    prior: tuple[Path, float | None], tmp_path: Path
) -> None:
    root, before = prior
    for step, name, when in moments(root, tmp_path):
        copy = shutil.copytree(root, tmp_path / "copy")
        fired: list[str] = []

        def fail(number: int, _: str, now: str, at: tuple[int, str] = (step, when)) -> None:
            if (number, now) == at:
                fired.append(now)  # noqa: B023
                raise OSError(errno.EIO if number % 2 else errno.ENOSPC, "injected")

        try:
            night = made.begin(copy, NEW, made.StepStorage(copy, fail), **EXPORT)
            publish(night, made.IDS, [{"model": "als", "rmse": NEW}], [])
        except MfsparkError as error:
            told = str(error)
        else:  # only what follows the pointer may fail without failing the night
            told = "injected; run the same command again" if made.seen(copy) == NEW else "nothing"
        assert "injected" in told, f"failed {when} {name} (step {step}) and went unnoticed"
        assert "run the same command again" in told
        assert fired
        assert made.seen(copy) in (before, NEW)
        made.publish_marked(copy, NEW, **EXPORT)
        assert_whole(copy)
        shutil.rmtree(copy)


@all_priors
def test_at_every_step_a_reader_sees_the_old_or_the_new_run_whole(
    prior: tuple[Path, float | None],
) -> None:
    root, before = prior
    watched: list[float | None] = []
    storage = made.StepStorage(root, lambda *_: watched.append(made.seen(root)))
    publish(made.begin(root, NEW, storage, **EXPORT), made.IDS, [{"model": "als", "rmse": NEW}], [])
    switches = sum(a != b for a, b in pairwise(watched))
    assert watched[-1] == NEW
    assert (watched[0], switches) == ((NEW, 0) if before == NEW else (before, 1))


def test_the_pointer_moves_after_everything_it_names_is_on_disk(tmp_path: Path) -> None:
    """Every file and directory of the run is synced after its last change, before the pointer."""
    log: list[tuple[str, Path]] = []

    class Logged(made.PosixStorage):
        def _sync(self, path: Path) -> None:
            log.append(("sync", path))
            super()._sync(path)

        def _replace(self, source: Path, target: Path) -> None:
            log.append(("replace", target))
            super()._replace(source, target)

        def _rename(self, source: Path, target: Path) -> None:
            log.append(("rename", target))
            super()._rename(source, target)

    night = made.ready(tmp_path, NEW, Logged(str(tmp_path)))
    root = tmp_path
    tables = root / night.scratch("tables")
    files = [p for p in tables.rglob("*") if p.is_file()]
    publish(night, made.IDS, [], [])
    moved = log.index(("rename", root / "runs" / night.run_id))
    pointed = log.index(("replace", root / "CURRENT"))
    synced = [path for what, path in log[:moved] if what == "sync"]
    assert set(files) | {tables, tables / "serving", tables / "manifest.json"} <= set(synced)
    assert ("sync", root / "runs") in log[moved:pointed]
    assert ("sync", root) in log[pointed:]


def test_a_run_published_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    night = made.ready(tmp_path, NEW)
    other = made.publish_marked(tmp_path, OLD)
    with pytest.raises(RefusedError, match=rf"saw nothing, but {other} is current now") as refused:
        publish(night, made.IDS, [], [])
    assert str(tmp_path / night.scratch()) in refused.value.hint
    assert made.seen(tmp_path) == OLD
    assert Warehouse(tmp_path).run_ids() == [other]

    shutil.rmtree(tmp_path / night.scratch())  # what the hint says
    assert made.publish_marked(tmp_path, NEW) == night.run_id
    assert Warehouse(tmp_path).manifest().current_run == other


def test_what_a_killed_task_left_beside_a_table_is_not_published(tmp_path: Path) -> None:
    """A task wrote its file and was killed before it said so; its second try wrote another."""
    night = made.ready(tmp_path, NEW)
    table = tmp_path / night.tables_key / "serving"
    pq.write_table(made.lists(9.0, 0), table / "part-00000-0123456789ab.parquet")
    (table / ".part-00001-0123456789ab.parquet.tmp").write_bytes(b"half")
    publish(night, made.IDS, [{"model": "als", "rmse": NEW}], [])
    run = tmp_path / "runs" / night.run_id
    (manifest,) = [Warehouse(tmp_path).manifest()]
    listed = {f"{t}/{f.name}" for t, entry in manifest.tables.items() for f in entry.files}
    found = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert found == listed | {"manifest.json"}
    assert set(pq.read_table(run / "serving")["score"].to_pylist()) == {NEW}


def test_a_refused_rerun_after_the_rename_leaves_no_run_behind(tmp_path: Path) -> None:
    """Killed between rename and pointer; another night published; the rerun is refused."""
    night = made.ready(tmp_path, NEW)
    (tmp_path / night.scratch("tables")).rename(tmp_path / "moved")
    other = made.publish_marked(tmp_path, OLD)
    (tmp_path / "moved").rename(tmp_path / "runs" / night.run_id)
    with pytest.raises(RefusedError):
        publish(made.begin(tmp_path, NEW), made.IDS, [], [])
    assert [p.name for p in (tmp_path / "runs").iterdir()] == [other]
    assert (tmp_path / night.tables_key / "serving").is_dir()


def test_a_publish_that_failed_after_the_rename_may_be_called_again(tmp_path: Path) -> None:
    failures = [OSError(errno.EIO, "injected")]

    class FailsOnce(made.PosixStorage):
        def _replace(self, source: Path, target: Path) -> None:
            if target.name == "CURRENT" and failures:
                raise failures.pop()
            super()._replace(source, target)

    night = made.ready(tmp_path, NEW, FailsOnce(str(tmp_path)), **EXPORT)
    with pytest.raises(MfsparkError, match="injected"):
        publish(night, made.IDS, [], [])
    assert (tmp_path / "runs" / night.run_id).is_dir()
    assert made.seen(tmp_path) is None
    publish(night, made.IDS, [{"model": "als", "rmse": NEW}], [])
    assert_whole(tmp_path)


def test_publishing_again_changes_nothing(tmp_path: Path) -> None:
    first = made.publish_marked(tmp_path, OLD)
    made.publish_marked(tmp_path, NEW)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.*") if p.is_file()}
    night = made.begin(tmp_path, OLD)
    assert night.published
    assert publish(night, made.IDS, [{"other": 1}], []).run_id == first
    assert made.seen(tmp_path) == NEW, "an older night, run again, must not come back"
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.*") if p.is_file()} == before


def test_manifest_tells_the_truth_about_every_file(tmp_path: Path) -> None:
    made.publish_marked(tmp_path, OLD)
    run_id = made.publish_marked(tmp_path, NEW)
    manifest = Warehouse(tmp_path).manifest()
    assert (manifest.run_id, manifest.current_run) == (run_id, Warehouse(tmp_path).run_ids()[1])
    assert manifest.stages == {"serving": {"rows": 120}}
    assert manifest.ids == made.IDS
    on_disk = sorted((tmp_path / "runs" / run_id).glob("*/*"))
    listed = [(t, f) for t, entry in manifest.tables.items() for f in entry.files]
    assert [(p.parent.name, p.name) for p in on_disk] == [(t, f.name) for t, f in sorted(
        listed, key=lambda pair: (pair[0], pair[1].name))]  # fmt: skip
    for table, file in listed:
        path = tmp_path / "runs" / run_id / table / file.name
        assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert (file.bytes, file.rows) == (path.stat().st_size, pq.read_table(path).num_rows)
    entry = manifest.tables["serving"]
    assert entry.rows == sum(file.rows for file in entry.files) == 120
    assert entry.bytes == sum(file.bytes for file in entry.files)
    assert entry.columns["item_id"] == "string"
    assert entry.sorted_by == ("user_id", "rank")


def test_what_cannot_be_published_is_refused_and_readers_see_no_change(
    tmp_path: Path,
) -> None:
    made.publish_marked(tmp_path, OLD)
    with pytest.raises(MfsparkError, match="no tables"):
        publish(made.begin(tmp_path, 3.0), made.IDS, [], [])

    empty = made.ready(tmp_path, 4.0)
    (tmp_path / empty.tables_key / "serving" / "part-1.parquet").unlink()
    with pytest.raises(MfsparkError, match=r"part-1.parquet is gone"):
        publish(empty, made.IDS, [], [])

    changed = made.ready(tmp_path, 5.0)
    table = made.lists(5.0, 0).drop_columns(["tier"]).append_column("extra", [[1] * 40])
    pq.write_table(table, tmp_path / changed.tables_key / "serving" / "part-1.parquet")
    with pytest.raises(MfsparkError, match=r"part-1.parquet has .* bytes, but .* were written"):
        publish(changed, made.IDS, [], [])
    assert made.seen(tmp_path) == OLD


def test_two_publishers_do_not_meet(tmp_path: Path) -> None:
    night = made.ready(tmp_path, NEW)
    with (
        hold_pointer_lock(night.warehouse),
        pytest.raises(MfsparkError, match="publishing") as held,
    ):
        publish(night, made.IDS, [], [])
    assert held.value.status == 75
    assert made.seen(tmp_path) is None


@pytest.mark.parametrize("place", ["file", "proc"])
def test_a_warehouse_that_cannot_be_written_is_told_with_its_path(
    tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").write_text("not a directory")
    root = {"file": tmp_path / "file" / "warehouse", "proc": Path("/proc/mfspark")}[place]
    with pytest.raises(ConfigError, match=r"cannot create .*: ") as told:
        made.begin(root, NEW)
    assert str(root) in str(told.value) or str(root.parent) in str(told.value)
    assert "--warehouse DIR" in told.value.hint


def test_scratch_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "scratch").write_text("")
    with pytest.raises(ConfigError, match="scratch"):
        made.begin(tmp_path, NEW)


def test_a_stale_temporary_file_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / ".CURRENT.tmp").write_text("{")
    made.publish_marked(tmp_path, NEW)
    assert made.seen(tmp_path) == NEW
    assert isinstance(made.begin(tmp_path, NEW), Night)
