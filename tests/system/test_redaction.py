"""Secrets appear neither in logs, nor in messages, nor in arguments."""

from __future__ import annotations

import logging

import pytest

from mfspark.errors import ConfigError, InputError
from mfspark.pipeline.request import Request
from mfspark.system.exit import guarded
from mfspark.system.redaction import RedactingFormatter


def test_log_lines_are_redacted() -> None:
    record = logging.makeLogRecord(
        {"msg": "read %s", "args": ("https://me:hunter2@host/r.csv?token=hunter2",)}
    )
    line = RedactingFormatter("%(message)s").format(record)
    assert line == "read https://***@host/r.csv?token=***"


@pytest.mark.parametrize("error", [InputError, OSError])
def test_messages_are_redacted(error: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise error("cannot read ftp://me:hunter2@host/r.csv with password=hunter2")

    assert guarded(fail, debug=False) != 0
    told = capsys.readouterr().err
    assert "hunter2" not in told
    assert "ftp://***@host/r.csv with password=***" in told


@pytest.mark.parametrize(
    "request_",
    [
        Request("run", ratings=("s3://key:hunter2@bucket/r.csv",)),
        Request("run", items=("https://host/i.csv?sig=hunter2",)),
        Request("run", overrides=('inputs.users=["ftp://me:hunter2@host/u.csv"]',)),
    ],
)
def test_a_secret_in_an_argument_is_refused(request_: Request) -> None:
    with pytest.raises(ConfigError, match="a secret is part of an argument") as told:
        request_.load()
    assert "hunter2" not in str(told.value)


def test_paths_that_only_look_alike_are_taken() -> None:
    request = Request("run", ratings=("/data/key=5/r.csv", "s3://bucket/monkey=1/r.csv"))
    assert request.load().inputs.ratings == request.ratings
