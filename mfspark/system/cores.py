"""How many cores a process may use: this machine's, its container's, or its Spark executor's."""

import math
import os
import re
from pathlib import Path

_PROC, _CGROUP = Path("/proc"), Path("/sys/fs/cgroup")
_EXECUTOR = re.compile(r"\0--cores\0(\d+)\0")  # in the command line of every cluster's executors
_LOCAL = re.compile(r"local(?:\[(\d+)\b.*)?")


def cores_of_this_process() -> int:
    """Return the cores this process may run on, or its container's share of them if less."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    try:
        quota, period = (_CGROUP / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else min(cores, max(math.ceil(int(quota) / int(period)), 1))


def cores_of_this_task(master: str) -> int:
    """Return the cores a Spark task may use while no other runs beside it: its executor's.

    To be called inside the task: only there can it be told. The driver's `spark.executor.cores`
    says nothing on a standalone cluster (an executor has all cores of its worker), and cannot know
    what an executor really got. `master` is the session's `spark.master`, for `local[n]`, which
    has no executors. Where the system hides the executor's process, the machine's cores count.
    """
    local = _LOCAL.fullmatch(master)
    if local:
        return int(local[1] or 1)
    return _cores_of_executor(os.getpid()) or cores_of_this_process()


def _cores_of_executor(pid: int) -> int | None:
    """Return the cores that the executor above a Python worker was started with."""
    try:
        while pid > 1:
            found = _EXECUTOR.search((_PROC / str(pid) / "cmdline").read_text())
            if found:
                return int(found[1])
            # "pid (name) state parent ...", and the name may hold anything
            pid = int((_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, UnicodeDecodeError):
        pass  # another system than Linux, or processes of others are hidden
    return None
