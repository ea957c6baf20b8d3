"""On which device torch computes, and on how many threads."""

from functools import cache
from importlib import import_module
from typing import Literal

import torch
from threadpoolctl import threadpool_limits

Device = Literal["auto", "cpu", "cuda"]


def device_of(choice: Device) -> str:
    """Return the device that an option names; `auto` is a GPU where there is one.

    >>> device_of("cpu")
    'cpu'
    """
    if choice == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return choice


def one_thread_a_kernel() -> None:
    """Keep torch and BLAS to one thread for good: cores share out blocks, never one product.

    Measured on ratings that fit one block: two threads a product were slower than one, ten times so
    beside other work, because waiting threads spin.
    """
    torch.set_num_threads(1)
    _one_thread_of_blas()


@cache
def _one_thread_of_blas() -> None:
    import_module("scipy.linalg")  # which brings a BLAS of its own
    threadpool_limits(1, "blas")  # where numpy was imported before the environment said so
