"""What is said of a Spark Connect server that cannot be used; no Spark is started here."""

from __future__ import annotations

import socket

import pytest

from mfspark.errors import ConfigError
from mfspark.system import connect
from mfspark.system import spark as session
from mfspark.system.connect import check_client, remote_server, remote_url
from mfspark.system.java import require_java


@pytest.mark.parametrize(
    ("url", "server"),
    [("sc://h:15002", "h:15002"), ("sc://h", "h"), ("sc://h:1/;use_ssl=true;token=abc", "h:1"),
     ("sc://user:word@h:1", "h:1"), ("local[2]", None), ("", None)],
)  # fmt: skip
def test_a_server_is_named_without_what_is_secret(
    monkeypatch: pytest.MonkeyPatch, url: str, server: str | None
) -> None:
    monkeypatch.setenv("SPARK_REMOTE", url)
    assert remote_server() == server
    assert remote_url() == (url or None)


def test_packages_of_the_client_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "_CLIENT", ("json", "no_such_package", "no_such.at_all"))
    with pytest.raises(ConfigError, match=r"no_such_package, no_such\.at_all") as refused:
        check_client("sc://127.0.0.1:15002")
    assert refused.value.hint == 'pip install "mfspark[connect]"'
    assert refused.value.status == 2


@pytest.mark.parametrize(
    "url", ["spark://h:7077", "sc://h:port", "sc://h:1/path", "h:15002", "sc://h/;token=abc;x"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    pytest.importorskip("grpc", reason='pip install "mfspark[connect]"')
    with pytest.raises(ConfigError, match="no address of a Spark Connect server") as refused:
        check_client(url)
    assert "abc" not in str(refused.value)


def test_a_server_that_does_not_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("grpc", reason='pip install "mfspark[connect]"')
    monkeypatch.setattr(connect, "_ANSWER_SECONDS", 0.5)
    with socket.socket() as mute:  # takes connections and says nothing
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"sc://127.0.0.1:{mute.getsockname()[1]}"
        monkeypatch.setenv("SPARK_REMOTE", url)
        with pytest.raises(ConfigError, match=r"no Spark Connect server answers at 127\.0\.0\.1:"):
            check_client(url)


def test_a_client_needs_no_java_and_sets_nothing_of_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    monkeypatch.setenv("SPARK_ENV_LOADED", "1")  # as if spark-submit had started this process
    monkeypatch.setenv("SPARK_REMOTE", "sc://h:15002")
    require_java()
    assert session._given(0) == {}
    monkeypatch.setenv("SPARK_REMOTE", "local[2]")
    with pytest.raises(ConfigError, match="Spark needs Java"):
        require_java()
    monkeypatch.delenv("SPARK_ENV_LOADED")
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)
    assert session._given(0)["spark.connect.grpc.binding.address"] == "127.0.0.1"
