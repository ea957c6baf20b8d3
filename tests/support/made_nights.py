"""Nights with hand-made tables, stores that fail on purpose, and what a reader sees."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mfspark.config.config import Config
from mfspark.errors import LockedError
from mfspark.schemas import IdTypes, table_schema
from mfspark.storage.posix import PosixStorage
from mfspark.storage.protocol import Storage
from mfspark.tables.lock import hold_lock
from mfspark.tables.night import Night
from mfspark.tables.publish import publish
from mfspark.tables.run import read_table
from mfspark.tables.warehouse import Warehouse
from tests.support.night_tables import put_table
from tests.support.records import raw

Place = Path | str | Storage
IDS = IdTypes("integer", "string")
RUN_DATE = date(2026, 11, 22)
FILES, ROWS_A_FILE = 3, 40


def lists(mark: float, part: int) -> pa.Table:
    """One file of a list in which every score is the night's mark."""
    users = [part * 10 + i // 10 for i in range(ROWS_A_FILE)]
    columns = {
        "model": ["als"] * ROWS_A_FILE,
        "user_id": users,
        "rank": [i % 10 + 1 for i in range(ROWS_A_FILE)],
        "item_id": [f"i{i}" for i in range(ROWS_A_FILE)],
        "score": [mark] * ROWS_A_FILE,
        "tier": ["als"] * ROWS_A_FILE,
        "title": [f"Title {i}" for i in range(ROWS_A_FILE)],
    }
    schema, empty = table_schema("serving", IDS), [None] * ROWS_A_FILE
    return pa.table({name: columns.get(name, empty) for name in schema.names}, schema=schema)


def write_list(directory: Path, mark: float) -> None:
    """Write the files of a list where no warehouse is."""
    directory.mkdir(parents=True, exist_ok=True)
    for part in range(FILES):
        pq.write_table(lists(mark, part), directory / f"part-{part}.parquet")


def begin(root: Place, mark: float, storage: Storage | None = None, **config: Any) -> Night:
    """Begin the night whose only input is its mark."""
    return Night.begin(
        Warehouse(storage or root),
        Config.model_validate(config),
        RUN_DATE,
        [{"path": "ratings.csv", "mark": mark}],
    )


def ready(root: Place, mark: float, storage: Storage | None = None, **config: Any) -> Night:
    """Begin a night and run what it has not finished, as a rerun does."""
    night = begin(root, mark, storage, **config)
    if not night.finished(raw("serving")):
        write_tables(night, mark)
        night.finish(raw("serving"), {"rows": FILES * ROWS_A_FILE})
    return night


def write_tables(night: Night, mark: float) -> None:
    put_table(night, "serving", *(lists(mark, part) for part in range(FILES)))
    put_table(night, "metrics", _metrics(mark))


def _metrics(mark: float) -> pa.Table:
    row = {"model": "als", "split": "random", "metric": "rmse", "value": mark, "n": 5}
    return pa.Table.from_pylist([row], schema=table_schema("metrics", IDS))


def publish_marked(root: Place, mark: float, storage: Storage | None = None, **config: Any) -> str:
    night = ready(root, mark, storage, **config)
    return publish(night, IDS, [{"model": "als", "rmse": mark}], []).run_id


def seen(root: Place) -> float | None:
    """Return the mark of the night a reader sees, None where nothing was published.

    Fails unless the two tables and the manifest are whole and of one night.
    """
    warehouse = Warehouse(root)
    run_id = warehouse.current()
    if run_id is None:
        return None
    rows = read_table(warehouse, "serving", run_id).to_table()
    marks = set(rows["score"].to_pylist())
    marks |= set(read_table(warehouse, "metrics", run_id).to_table()["value"].to_pylist())
    assert len(marks) == 1, f"a reader saw the nights {marks} at once"
    assert rows.num_rows == FILES * ROWS_A_FILE
    assert warehouse.manifest(run_id).metrics[0]["rmse"] in marks
    return marks.pop()


class StepStorage(PosixStorage):
    """Calls `at_step(number, name, when)` before and after each single step, and counts them."""

    def __init__(self, root: Path, at_step: Callable[[int, str, str], None]) -> None:
        super().__init__(str(root))
        object.__setattr__(self, "_at_step", at_step)  # storages are frozen
        object.__setattr__(self, "_steps", itertools.count())

    def _step(self, name: str, real: Callable[[], None], half: Callable[[], None]) -> None:
        number = next(self._steps)
        self._at_step(number, name, "before")
        if name in ("write", "delete"):  # the only steps that can be half done
            half()
            self._at_step(number, name, "in")
        real()
        self._at_step(number, name, "after")

    def _mkdir(self, path: Path) -> None:
        self._step("mkdir", lambda: PosixStorage._mkdir(self, path), _nothing)

    def _write(self, path: Path, content: bytes) -> None:
        def half() -> None:
            path.write_bytes(content[: len(content) // 2])

        self._step("write", lambda: PosixStorage._write(self, path, content), half)

    def _sync(self, path: Path) -> None:
        self._step("sync", lambda: PosixStorage._sync(self, path), _nothing)

    def _replace(self, source: Path, target: Path) -> None:
        self._step("replace", lambda: PosixStorage._replace(self, source, target), _nothing)

    def _rename(self, source: Path, target: Path) -> None:
        self._step("rename", lambda: PosixStorage._rename(self, source, target), _nothing)

    def _delete(self, path: Path) -> None:
        def half() -> None:
            for entry in sorted(path.iterdir()):
                if entry.is_file():
                    entry.unlink()
                    return

        self._step("delete", lambda: PosixStorage._delete(self, path), half)


def _nothing() -> None:
    return None


def publish_and_die(root: str, mark: float, step: int, when: str, config: dict[str, Any]) -> None:
    """Publish in a process that is killed, by the kernel, at one step."""

    def kill(number: int, name: str, now: str) -> None:  # noqa: ARG001
        if (number, now) == (step, when):
            os.kill(os.getpid(), signal.SIGKILL)

    night = begin(Path(root), mark, StepStorage(Path(root), kill), **config)
    publish(night, IDS, [{"model": "als", "rmse": mark}], [])


def publish_when_asked(root: str, mark: float, config: dict[str, Any], ready: Any) -> None:
    """Say that publishing begins, and publish."""
    night = begin(Path(root), mark, **config)
    ready.set()
    publish(night, IDS, [{"model": "als", "rmse": mark}], [])


def publish_many(root: str, n_nights: int, pause: float, enough: Any) -> None:
    """Publish nights 1, 2, ..., n_nights, and more until it was enough."""
    for number in itertools.count(1):
        publish_marked(root, float(number))
        if number >= n_nights and enough.is_set():
            return
        time.sleep(pause)


def hold_and_tell(root: str, begin: Any, told: Any) -> None:
    """Try for the lock when everybody is ready; tell, and keep it until killed."""
    begin.wait()
    try:
        with hold_lock(Warehouse(root)):
            told.put((os.getpid(), "held"))
            time.sleep(600)
    except LockedError as error:
        told.put((os.getpid(), str(int(error.status))))


def overwrite_in_place(directory: str, marks: list[float]) -> None:
    """What must not be done: replace the files of a live table one by one."""
    for mark in marks:
        write_list(Path(directory), mark)
