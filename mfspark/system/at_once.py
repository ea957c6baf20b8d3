"""Two things at once: small Spark jobs mostly wait, and two of them take the time of one."""

from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")


def at_once(*works: Callable[[], T]) -> list[T]:
    """Do independent things, two at a time, and return what each gives, in order.

    The first error is raised when what runs beside it has ended; what waits is not begun.
    """
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(work) for work in works]
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            future.cancel()
    for future in futures:
        if not future.cancelled() and (error := future.exception()):
            raise error
    return [future.result() for future in futures]
