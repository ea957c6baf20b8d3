"""On which device torch computes."""

from typing import Literal

import torch

Device = Literal["auto", "cpu", "cuda"]


def device_of(choice: Device) -> str:
    """Return the device that an option names; `auto` is a GPU where there is one.

    >>> device_of("cpu")
    'cpu'
    """
    if choice == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return choice
