"""Words that messages are made of."""


def count(n: int, noun: str) -> str:
    """Return such as `1 rating` or `1,000 ratings`."""
    return f"{n:,} {named(n, noun)}"


def named(n: int, noun: str) -> str:
    """Return a noun as it follows a number: `rating` or `ratings`."""
    return noun if n == 1 else f"{noun}s"


def share(value: float) -> str:
    """Return such as `12.3%`."""
    return f"{value:.1%}"


def figure(value: float) -> str:
    """Return a metric's figure, such as `0.9130`."""
    return f"{value:.4f}"


def whole(value: float) -> str:
    """Return such as `1,000`."""
    return f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Return such as `40 s`, `12 min` or `3 h 05 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
