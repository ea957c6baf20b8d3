"""How many users chose both of two items."""

from mfspark.kernels.arrays.tile import Array, Tile


def add_common(rows: Tile, users: Tile, out: Array) -> None:
    """Add to out[a, c] how many of some users chose both item a and item c.

    rows (items, users): who chose each item a; users (users, items): what those chose of the
    items c; out float32 (items, items), changed in place. Counts are exact up to 2^24.
    """
    from mfspark.kernels.item_weights.compiled import add_products

    add_products(rows.indptr, rows.indices, users.indptr, users.indices, out)
