"""Models measured: what they predict and list for held-out ratings, block by block."""
