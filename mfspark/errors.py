"""Errors a user can act on, and the exit status each of them ends a command with.

Every message says what was found, where, the likely cause and the next action; the command line
prints it without a stack trace unless `--debug` is given.
"""

from __future__ import annotations

from enum import IntEnum
from unicodedata import category

_STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, formats such as right-to-left overrides
_HARMLESS = set("\n\t\u200c\u200d")  # the last two join letters in many scripts


class ExitStatus(IntEnum):
    """Exit statuses of every mfspark command and job."""

    DONE = 0
    USAGE = 2
    INPUT_UNUSABLE = 3
    STALE = 4
    REFUSED = 5
    INTERNAL = 70
    LOCKED = 75
    INTERRUPTED = 130


def printable(text: str) -> str:
    """Return a text without the characters that steer a terminal; line breaks and tabs stay.

    Messages and tables quote ids, titles and lines of input files, whoever wrote them.
    """
    return "".join("\ufffd" if category(c) in _STEERING and c not in _HARMLESS else c for c in text)


class MfsparkError(Exception):
    """Base of all errors with a remedy.

    `message` says what was found and where; `hint`, when given, says what to do next.
    """

    status: ExitStatus = ExitStatus.INTERNAL

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message if not hint else f"{message}\n  {hint}")
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type[MfsparkError], tuple[str, str]]:
        """Keep both parts when the error crosses from a Python worker to the driver."""
        return type(self), (self.message, self.hint)


class ConfigError(MfsparkError):
    """The configuration or the command line is wrong."""

    status = ExitStatus.USAGE


class InputError(MfsparkError):
    """An input cannot be used: missing, unreadable, or too much of it rejected."""

    status = ExitStatus.INPUT_UNUSABLE


class SchemaError(MfsparkError):
    """A table does not have the columns and types `schemas.py` gives it."""

    status = ExitStatus.INTERNAL


class NotFoundError(MfsparkError):
    """A run, table, user or item that was asked for does not exist."""

    status = ExitStatus.USAGE


class RefusedError(MfsparkError):
    """An audit or a gate refused the run, for `reasons`; what readers see is unchanged."""

    status = ExitStatus.REFUSED
    reasons: tuple[str, ...] = ()


class StaleError(MfsparkError):
    """What readers see is older than it may be."""

    status = ExitStatus.STALE


class LockedError(MfsparkError):
    """Another run holds the lock."""

    status = ExitStatus.LOCKED


class StoppedError(MfsparkError):
    """Somebody stopped the work (Ctrl-C); what it had found by then is kept."""

    status = ExitStatus.INTERRUPTED
