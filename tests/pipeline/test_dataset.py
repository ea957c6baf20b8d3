from __future__ import annotations

import pytest

from mfspark.pipeline.dataset import layout_for


@pytest.mark.parametrize(
    ("n_users", "n_items", "n_ratings", "blocks"),
    [
        (943, 1_682, 100_000, (1, 1)),  # not worth cutting
        (6_040, 3_706, 1_000_000, (4, 4)),
        (138_000, 27_000, 20_000_000, (16, 8)),  # 16 * sqrt(27 / 138) = 7.1
        (27_000, 138_000, 20_000_000, (8, 16)),
        (5_000_000, 50, 20_000_000, (16, 4)),
    ],
)
def test_the_larger_side_has_more_blocks(
    n_users: int, n_items: int, n_ratings: int, blocks: tuple[int, int]
) -> None:
    layout = layout_for(n_users, n_items, n_ratings)
    assert (layout.user_blocks, layout.item_blocks) == blocks
