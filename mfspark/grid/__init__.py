"""The distributed engine: ratings cut into tiles, and the few passes over them."""
