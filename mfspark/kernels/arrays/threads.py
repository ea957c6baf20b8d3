"""How many threads the kernels of this process use."""

import torch


def one_thread_a_kernel() -> None:
    """Keep torch to one thread: cores share out blocks, never one product.

    Measured on ratings that fit one block: two threads a product were slower than one, ten times so
    beside other work, because waiting threads spin.
    """
    torch.set_num_threads(1)
