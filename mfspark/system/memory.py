"""What this machine, or the container this process runs in, has to give."""

import re
from pathlib import Path

GIB = 2**30
_CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Return the bytes this process may still take: the machine's, or its container's if fewer.

    None where the system does not tell.
    """
    try:
        meminfo = Path("/proc/meminfo").read_text()
    except OSError:
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo, re.MULTILINE)
    if not found:
        return None
    available = int(found[1]) * 1024
    try:
        limit, used = ((_CGROUP / f"memory.{name}").read_text() for name in ("max", "current"))
    except OSError:
        return available
    return available if limit.strip() == "max" else min(available, int(limit) - int(used))
