"""Marks of charts as inline SVG, and where values lie in pixels."""

import math
from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup

from mfspark.errors import printable


class PixelScale:
    """Maps values to pixels."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self._low, self._start = low, start
        self._factor = (end - start) / ((high - low) or 1.0)

    def __call__(self, value: float) -> float:
        """Return where a value lies, in pixels."""
        return self._start + (value - self._low) * self._factor


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return round numbers around a range: steps of 1, 2 or 5 times a power of 10."""
    span = (high - low) or abs(high) or 1.0
    rough = span / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    first = math.floor(low / step)
    last = max(math.ceil(high / step), first + 1)
    return [round(k * step, 10) for k in range(first, last + 1)]


def vertical_grid(x: PixelScale, ticks: Sequence[float], bottom: float) -> Iterable[Markup]:
    """Draw a line and its number at each tick of a scale that goes to the right."""
    for tick in ticks:
        yield line(x(tick), 4, x(tick), bottom, "grid")
        yield text(x(tick), bottom + 18, f"{tick:g}", "tick middle")


def horizontal_grid(
    y: PixelScale,
    ticks: Sequence[float],
    left: float,
    right: float,
    number: Callable[[float], str] = "{:g}".format,
) -> Iterable[Markup]:
    """Draw a line and its number at each tick of a scale that goes up."""
    for tick in ticks:
        yield line(left, y(tick), right, y(tick), "grid")
        yield text(left - 8, y(tick) + 4, number(tick), "tick end")


def drawing(
    width: float, height: float, marks: Sequence[Markup], label: str, kind: str = "chart"
) -> Markup:
    """Return a chart of some marks, with a text for those who do not see it."""
    return Markup(
        '<svg class="{kind}" role="img" aria-label="{label}" viewBox="0 0 {w:.0f} {h:.0f}" '
        'width="{w:.0f}" height="{h:.0f}">{marks}</svg>'
    ).format(kind=kind, label=printable(label), w=width, h=height, marks=Markup("").join(marks))


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """Draw a straight line; kind: its classes in the style sheet."""
    where = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return Markup('<line class="{}" {}/>').format(kind, Markup(where))


def text(x: float, y: float, text: str, kind: str) -> Markup:
    """Write a text, which may be anybody's."""
    where = Markup(f'x="{x:.1f}" y="{y:.1f}"')
    return Markup('<text class="{}" {}>{}</text>').format(kind, where, printable(text))


def upright(x: float, y: float, text: str, kind: str) -> Markup:
    """Write a text, which may be anybody's, upwards from a point."""
    where = Markup(f'transform="translate({x:.1f} {y:.1f}) rotate(-90)"')
    return Markup('<text class="{}" {}>{}</text>').format(kind, where, printable(text))


def group(shape: str, kind: str, tip: str) -> Markup:
    """Return a shape of our own making with a tooltip, whose text is anybody's."""
    return Markup('<g class="{}"><title>{}</title>{}</g>').format(
        kind, printable(tip), Markup(shape)
    )
