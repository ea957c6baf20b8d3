from __future__ import annotations

import numpy as np
import pytest

from mfspark.grid.layout import GridLayout


@pytest.mark.parametrize("n", [0, 1, 4, 7])
@pytest.mark.parametrize("n_blocks", [1, 2, 3, 9])
def test_every_index_lies_in_one_block(n: int, n_blocks: int) -> None:
    layout = GridLayout(5, n, 1, n_blocks)
    blocks = [layout.indices("item", b) for b in range(n_blocks)]
    assert sorted(np.concatenate(blocks)) == list(range(n))
    for b, indices in enumerate(blocks):
        assert len(indices) == layout.rows("item", b)
        assert (indices % n_blocks == b).all()
        assert (indices // n_blocks == np.arange(len(indices))).all()
    sizes = [len(indices) for indices in blocks]
    assert max(sizes) - min(sizes) <= 1
