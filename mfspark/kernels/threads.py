"""How many threads the kernels of this process use."""

from __future__ import annotations

import torch


def use_threads(n: int) -> None:
    """Let torch use n threads: one in a task beside others, all cores in a task that is alone."""
    torch.set_num_threads(n)
