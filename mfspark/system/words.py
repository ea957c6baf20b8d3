"""Words that messages are made of."""


def count(n: int, noun: str) -> str:
    """Return such as `1 rating` or `1,000 ratings`."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")
