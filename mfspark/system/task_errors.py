"""Errors of Spark tasks for which there is a remedy."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from mfspark.errors import ConfigError, MfsparkError

_SAME = (
    "give Spark's workers the same environment as the driver: spark.archives and "
    "spark.pyspark.python (docs/deploy.md)"
)


@contextmanager
def task_errors() -> Generator[None]:
    """Raise what a task raised as an MfsparkError as if it had been raised here: one screen.

    Spark hands on the text of an error, between the stacks of two languages. Workers whose Python
    cannot run mfspark are a ConfigError.
    """
    from pyspark.errors import PySparkException

    try:
        yield
    except PySparkException as error:
        if found := _error_in(str(error)):
            raise found from None
        raise


def error_named(kind: str, message: str, hint: str) -> MfsparkError:
    """Return the error of a kind, by the name of its class."""
    return {each.__name__: each for each in _kinds(MfsparkError)}[kind](message, hint)


def _error_in(text: str) -> MfsparkError | None:
    kinds = "|".join(kind.__name__ for kind in _kinds(MfsparkError))
    pattern = rf"\b({kinds}): (.*?)\n\s*(?:\n|at |JVM|SQLSTATE)"
    if found := re.search(pattern, f"{text}\n\n", re.DOTALL):
        message, _, hint = found[2].partition("\n")
        return error_named(found[1], message, hint.strip())
    if found := re.search(r"ModuleNotFoundError: No module named '([\w.]+)'", text):
        return ConfigError(f"the Python of a worker of Spark has no package {found[1]}", _SAME)
    if "PYTHON_VERSION_MISMATCH" in text:
        return ConfigError("a worker of Spark runs another minor version of Python", _SAME)
    return None


def _kinds(kind: type[MfsparkError]) -> Iterator[type[MfsparkError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _kinds(narrower)
