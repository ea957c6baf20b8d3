"""Two things at once."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from mfspark.system.at_once import at_once


def test_two_run_at_a_time_and_answers_keep_their_order() -> None:
    together = threading.Barrier(2)
    assert at_once(*(lambda n=n: (together.wait(10), n)[1] for n in range(4))) == [0, 1, 2, 3]


def test_the_first_error_is_raised_and_what_waits_is_not_begun() -> None:
    began: list[int] = []
    other = threading.Event()

    def fail() -> None:
        raise KeyError("first")

    def go_on() -> None:
        other.wait(0.2)
        began.append(0)

    def late(n: int) -> None:
        other.wait(0.2)
        began.append(n)

    with pytest.raises(KeyError, match="first"):
        at_once(go_on, fail, *(partial(late, n) for n in (1, 2, 3)))
    assert began[0] == 0, "what ran beside it has ended"
    assert 3 not in began
