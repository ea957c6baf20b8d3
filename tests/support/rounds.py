"""How often fault suites try: a short form in `make test`, the long one in `make test-faults`."""

from __future__ import annotations

import os

import pytest

LONG = os.environ.get("MFSPARK_FAULTS") == "long"

long_only = pytest.mark.skipif(not LONG, reason="long form: make test-faults")


def rounds(short: int, long: int) -> int:
    """Return how often to try in the form that is running."""
    return long if LONG else short
