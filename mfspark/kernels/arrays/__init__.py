"""What every kernel works with: tiles, lists, random numbers, rating scales."""
