"""Settings of an object store that are wrong, and stores that cannot hold a warehouse."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from mfspark.errors import ConfigError, MfsparkError
from mfspark.storage import bucket
from mfspark.storage.object_store import ObjectStorage
from mfspark.storage.opening import open_storage
from mfspark.storage.store_errors import UnansweredError
from tests.support.faulty_proxy import FaultyProxy
from tests.support.object_stores import assert_discreet


def refused(storage: ObjectStorage) -> MfsparkError:
    with pytest.raises(MfsparkError) as told:
        storage.check()
    assert_discreet(told.value)
    assert told.value.hint
    return told.value


@pytest.mark.parametrize("hidden", ["if-none-match", "if-match"])
def test_a_store_that_ignores_conditions_is_refused(
    proxied: Any, proxy: FaultyProxy, hidden: str
) -> None:
    storage = proxied()
    proxy.hidden = {hidden}
    error = refused(storage)
    assert isinstance(error, ConfigError)
    assert "ignores conditions" in error.message
    assert storage.files("") == []


def test_a_store_that_loses_marks_is_refused(proxied: Any, proxy: FaultyProxy) -> None:
    storage = proxied()
    proxy.hidden = {"x-amz-meta-mfspark_nonce"}
    assert isinstance(refused(storage), ConfigError)
    assert storage.files("") == []


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("400", MfsparkError, "the credentials have expired"),
        ("403", ConfigError, "do not permit it"),
        ("301", ConfigError, "another region"),
        ("501", ConfigError, "does not know conditional requests"),
    ],
)
def test_what_does_not_pass_is_told_at_once(
    proxied: Any, proxy: FaultyProxy, fault: str, kind: type, said: str
) -> None:
    storage = proxied()
    proxy.fault = lambda *_: fault
    error = refused(storage)
    assert type(error) is kind
    assert said in error.message
    assert len(proxy.seen) <= 2, "it was not tried again, but for cleaning up"
    for ask in (
        lambda: storage.read("a"),
        lambda: storage.put("a", b""),
        lambda: storage.names("a"),
        lambda: storage.files("a"),
        lambda: storage.delete(["a"]),
        lambda: storage.open("a"),
        lambda: storage.exists("a"),
        lambda: storage.writing("a").__enter__().close() or storage.create("a", b""),
    ):
        with pytest.raises(MfsparkError) as told:
            ask()
        assert_discreet(told.value)
        assert f"{storage.root}/a" in told.value.message


@pytest.mark.parametrize(
    ("forbidden", "said"),
    [("PUT", "cannot write"), ("GET", "cannot"), ("POST", "cannot delete")],
)
def test_a_permission_that_is_missing_is_named(
    proxied: Any, proxy: FaultyProxy, forbidden: str, said: str
) -> None:
    storage = proxied()
    proxy.fault = lambda _, method, __: "403" if method == forbidden else None
    error = refused(storage)
    assert isinstance(error, ConfigError)
    assert said in error.message
    assert "permit" in error.message


def test_a_bucket_that_is_not_there(object_storage: Any) -> None:
    object_storage("moto")
    storage = ObjectStorage.at("s3://no-such-bucket/w")
    assert "there is no such bucket" in refused(storage).message
    for ask in (
        lambda: storage.read("a"),
        lambda: storage.names(""),
        lambda: storage.exists("a"),
        lambda: storage.put("a", b""),
        lambda: storage.create("a", b""),
        lambda: storage.delete(["a"]),
    ):
        with pytest.raises(ConfigError, match="no such bucket"):
            ask()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("AWS_SECRET_ACCESS_KEY", "another-secret", "does not accept these credentials"),
        ("AWS_ACCESS_KEY_ID", "nobody", "does not accept these credentials"),
    ],
)
def test_credentials_that_are_wrong(
    object_storage: Any, variable: str, value: str, said: str
) -> None:
    storage = object_storage("seaweedfs", **{variable: value})
    error = refused(storage)
    assert isinstance(error, ConfigError)
    assert said in error.message
    assert value not in str(error)


def test_no_credentials_at_all(object_storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = object_storage("moto", AWS_METADATA_ENDPOINT="http://127.0.0.1:1/169.254.")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    error = refused(storage)
    assert isinstance(error, ConfigError)
    assert "no credentials were found" in error.message
    assert "AWS_ACCESS_KEY_ID" in error.hint


def test_an_endpoint_that_nobody_answers(
    object_storage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mfspark.storage.object_store._CHECK_SECONDS", 0.5)
    monkeypatch.setattr(bucket, "PATIENCE_SECONDS", 0.5)
    storage = object_storage("moto", AWS_ENDPOINT_URL="http://user:pass@127.0.0.1:1")
    error = refused(storage)
    assert isinstance(error, ConfigError)
    assert "AWS_ENDPOINT_URL names 127.0.0.1:1" in error.hint
    assert "pass" not in str(error)
    with pytest.raises(UnansweredError, match="run the same command again"):
        storage.read("a")


def test_azure_without_an_account(object_storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    object_storage("moto")
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(ConfigError, match="account name"):
        ObjectStorage.at("az://container/w").read("a")


@pytest.mark.parametrize(
    "url", ["s3://", "s3:///a", "s3://k:s@bucket/a", "s3://b/a?x=1", "s3://b/../a", "s3://b/a#b"]
)
def test_what_is_no_url_of_a_bucket(url: str) -> None:
    with pytest.raises(ConfigError, match="BUCKET/PREFIX"):
        open_storage(url)


@pytest.mark.parametrize(
    ("url", "root"),
    [("s3://b", "s3://b"), ("S3://b//a/c/", "s3://b/a/c"), ("gs://b/a", "gs://b/a")],
)
def test_what_is_a_url_of_a_bucket(url: str, root: str) -> None:
    assert open_storage(url) == ObjectStorage(root)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mfspark.storage.bucket")
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ConfigError, match=r"pip install .mfspark\[cloud\]"):
        open_storage("s3://b/a")


def test_a_url_as_hadoop_spells_it() -> None:
    with pytest.raises(ConfigError, match="write s3://bucket/w"):
        open_storage("s3a://bucket/w")
