"""The distributed engine: ratings cut into tiles, and the few motions over them."""
