"""Object stores for tests: each is started when a test first asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest

from mfspark.storage.bucket import bucket_of
from mfspark.storage.object_store import ObjectStorage
from tests.support.object_stores import SERVERS, ObjectServer


@pytest.fixture(scope="session")
def object_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return a function that starts an object store by its name, once, or skips the test."""
    with ExitStack() as running:
        servers: dict[str, ObjectServer] = {}

        def started(name: str) -> ObjectServer:
            if name not in servers:
                directory = tmp_path_factory.mktemp(name)
                servers[name] = running.enter_context(SERVERS[name](directory))
            return servers[name]

        yield started


@pytest.fixture
def object_storage(object_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a function that gives an empty place in an object store, which clients can find."""

    def place(name: str, **environment: str) -> ObjectStorage:
        server = object_server(name)
        for variable, value in {**server.environment, **environment}.items():
            monkeypatch.setenv(variable, value)
        bucket_of.cache_clear()
        return ObjectStorage.at(f"{server.bucket}/{uuid4().hex}")

    yield place
    bucket_of.cache_clear()
