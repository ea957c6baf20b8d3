from __future__ import annotations

import pickle

import pytest

from mfspark.errors import (
    ConfigError,
    InputError,
    LockedError,
    MfsparkError,
    RefusedError,
    printable,
)


def test_hint_comes_on_a_line_of_its_own() -> None:
    assert str(InputError("what was found")) == "what was found"
    assert str(InputError("what was found", "what to do")) == "what was found\n  what to do"


@pytest.mark.parametrize("kind", [ConfigError, InputError, LockedError, RefusedError])
def test_errors_cross_process_borders_whole(kind: type[MfsparkError]) -> None:
    error = pickle.loads(pickle.dumps(kind("found", "do")))
    assert type(error) is kind
    assert (error.message, error.hint, error.status) == ("found", "do", kind.status)
    assert str(error) == "found\n  do"


def test_exit_statuses_are_the_documented_ones() -> None:
    statuses = {kind: kind.status.value for kind in MfsparkError.__subclasses__()}
    assert statuses[ConfigError] == 2
    assert statuses[InputError] == 3
    assert statuses[RefusedError] == 5
    assert statuses[LockedError] == 75
    assert MfsparkError.status.value == 70


def test_what_steers_a_terminal_is_not_printed() -> None:
    assert printable("a\x1b[31mb\x07\u202ec\u2028") == "a\ufffd[31mb\ufffd\ufffdc\ufffd"
    kept = "Conte d'\u00e9t\u00e9\u00a0(1996)\n\t\u0915\u094d\u200d\u0937 \U0001f600"
    assert printable(kept) == kept
