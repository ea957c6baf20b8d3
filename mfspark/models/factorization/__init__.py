"""Models with factors."""
