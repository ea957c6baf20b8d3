"""Checks of the machine and the configuration, each with what to do about it."""

import fcntl
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from mfspark.config.loading import load_config
from mfspark.errors import MfsparkError
from mfspark.system.connect import remote_server
from mfspark.system.cores import cores_of_this_process
from mfspark.system.exit import first_line
from mfspark.system.java import REMEDY, find_java
from mfspark.system.memory import GIB, available_memory
from mfspark.system.spark import spark_session
from mfspark.tables.warehouse import Warehouse

Level = Literal["ok", "warn", "fail"]
_PACKAGES = ("pyspark", "torch", "pandas", "pyarrow", "numpy", "scipy", "pydantic", "duckdb")


@dataclass(frozen=True)
class Check:
    """What was looked at and found, and the remedy where it is not well."""

    level: Level
    what: str
    found: str
    remedy: str = ""


def examine(
    config: Sequence[str] | None, overrides: tuple[str, ...], warehouse: str | None, *, spark: bool
) -> Iterator[Check]:
    """Yield the checks one by one; one that breaks has failed."""
    root = warehouse or "warehouse"
    try:
        loaded = load_config(config, overrides)
        root = warehouse or loaded.warehouse
        yield Check("ok", "configuration", ", ".join(config or ["the defaults"]))
    except MfsparkError as error:
        yield Check("fail", "configuration", error.message, error.hint or "mend it")
    checks: list[tuple[str, Callable[[], Check]]] = [
        ("Python", _python),
        ("Java", _java),
        *((name, lambda name=name: _package(name)) for name in _PACKAGES),
        ("torch at work", _torch),
        ("memory", _memory),
        ("warehouse", lambda: _warehouse(root)),
        ("disk", lambda: _disk(root)),
    ]
    if spark:
        checks.append(("Spark", _spark))
    for what, check in checks:
        try:
            yield check()
        except MfsparkError as error:
            yield Check("fail", what, error.message, error.hint or "see above")
        except Exception as error:  # one broken check must not hide the others
            yield Check("fail", what, f"{type(error).__name__}: {first_line(error)}", "see above")


def _python() -> Check:
    # Older than 3.11 does not come this far: the library does not install there.
    return Check("ok", "Python", f"{platform.python_version()} in {sys.executable}")


def _java() -> Check:
    if server := remote_server():
        return Check("ok", "Java", f"none needed here: Spark runs at {server} (SPARK_REMOTE)")
    java = find_java()
    if java is None:
        home = os.environ.get("JAVA_HOME")
        return Check("fail", "Java", f"no java in {home or 'PATH'}", REMEDY)
    if java.problem:
        return Check("fail", "Java", f"{java}: {java.problem}", REMEDY)
    if not java.tested:
        return Check("warn", "Java", f"{java}: not a tested version", REMEDY)
    return Check("ok", "Java", str(java))


def _package(name: str) -> Check:
    """Compare an installed version with the range that mfspark declares."""
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check("fail", name, "not installed", "make setup, or: pip install mfspark")
    wanted = declared_range(name)
    if not within(version, wanted):
        return Check("fail", name, f"{version}, needs {wanted}", f'pip install "{name}{wanted}"')
    return Check("ok", name, version)


def declared_range(name: str) -> str:
    """Return the version range mfspark declares for a package; empty where it is not known."""
    try:
        declared = metadata.requires("mfspark") or []
    except metadata.PackageNotFoundError:  # started from a zip file
        return ""
    for requirement in declared:
        found = re.match(rf"{re.escape(name)}\s*([<>=!~][^;]*)", requirement)
        if found:
            # The metadata sorts the bounds; the lower one is read first.
            return ",".join(sorted(found[1].strip().split(","), reverse=True))
    return ""


def within(version: str, bounds: str) -> bool:
    """Return whether a version lies in a range made of >= and <, as all of ours are."""
    numbers = _numbers(version)
    for bound in filter(None, bounds.split(",")):
        if bound.startswith(">=") and numbers < _numbers(bound[2:]):
            return False
        if bound.startswith("<") and numbers >= _numbers(bound[1:]):
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version.split("+")[0])[:3])


def _torch() -> Check:
    import torch

    a = torch.ones(64, 64)
    if float((a @ a).sum()) != 64.0**3:
        return Check("fail", "torch at work", "a product of matrices is wrong", "reinstall torch")
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no CUDA device"
    cores = cores_of_this_process()
    found = f"{torch.get_num_threads()} threads, {cores} cores, {gpu}"
    return Check("ok", "torch at work", found)


def _memory() -> Check:
    available = available_memory()
    if available is None:
        return Check("warn", "memory", "cannot be told on this system", "1 million ratings: 4 GiB")
    found = f"{available / GIB:.1f} GiB free"
    if available < 1.5 * GIB:
        return Check("fail", "memory", found, "Spark and one worker need 1.5 GiB: free some")
    if available < 3 * GIB:
        return Check("warn", "memory", found, "enough for about a million ratings")
    return Check("ok", "memory", found)


def _warehouse(root: str) -> Check:
    """Write and lock a file where the warehouse is, or would be made."""
    storage = Warehouse(root).storage
    path = storage.local("")
    if path is None:
        storage.check()
        return Check("ok", "warehouse", f"{storage.root}: conditional writes are honoured")
    place = _existing(path)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        found = f"{path}: {error.strerror}"
        return Check("fail", "warehouse", found, "choose another one: --warehouse DIR")
    made = "writable" if path.is_dir() else "will be made by the first run"
    return Check("ok", "warehouse", f"{path}: {made}")


def _disk(root: str) -> Check:
    path = Warehouse(root).storage.local("") or Path(tempfile.gettempdir())
    free = shutil.disk_usage(_existing(path)).free
    found = f"{free / GIB:.1f} GiB free"
    if free < GIB // 2:
        return Check("fail", "disk", found, "free some space, or choose another --warehouse")
    if free < 5 * GIB:
        return Check("warn", "disk", found, "a night of 20 million ratings takes about 5 GiB")
    return Check("ok", "disk", found)


def _existing(path: Path) -> Path:
    """Return the path, or the nearest one above it that exists."""
    return next(p for p in (path, *path.parents) if p.exists())


def _spark() -> Check:
    """Start Spark and let one Python worker answer."""
    began = time.perf_counter()
    try:
        with spark_session() as spark:
            answer = spark.range(4).mapInArrow(lambda batches: batches, "id long").count()
            found = f"{spark.version} on {spark.conf.get('spark.master', '?')}"
    except Exception as error:
        remedy = "mend what stands above first; then look at Spark's own messages"
        return Check("fail", "Spark", first_line(error), remedy)
    if answer != 4:
        return Check("fail", "Spark", f"a worker returned {answer} rows of 4", "reinstall pyspark")
    return Check("ok", "Spark", f"{found}, started in {time.perf_counter() - began:.0f} s")
