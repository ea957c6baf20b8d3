"""Charts as inline SVG: no script, no file, colours from the page's style sheet.

Each function returns an `<svg class="chart">` whose marks carry `<title>` elements, which browsers
show as tooltips and screen readers read. Classes name what a mark is; `page.css` says how it looks,
in light and in dark.
"""

import math

from markupsafe import Markup

from mfspark.errors import printable
from mfspark.evaluation.catalog import REFERENCES
from mfspark.queries.list_worth import TradeOff
from mfspark.queries.report import svg
from mfspark.queries.report.content import Distribution, Heatmap, LossCurve
from mfspark.queries.summary import MetricFigures

_ROW, _LABELS, _WIDTH = 30, 116, 500  # pixels: a row, the names left of it, the whole chart
_PANEL = 300  # of one in a row of three


def intervals(found: MetricFigures) -> Markup:
    """Draw a dot and its interval a model, best first, and a line at the reference's value."""
    lower = found.metric.lower_is_better
    order = sorted(found.figures.items(), key=lambda f: f[1].value if lower else -f[1].value)
    ends = [e for _, f in order for e in (f.low, f.value, f.high) if e is not None]
    ticks = svg.ticks(min(ends), max(ends))
    left, right = _LABELS, _WIDTH - 64
    x = svg.PixelScale(ticks[0], ticks[-1], left, right)
    height = _ROW * len(order) + 34
    marks = [*svg.vertical_grid(x, ticks, height - 24)]
    reference = found.figures.get(found.metric.reference)
    if reference:
        at = x(reference.value)
        marks.append(svg.line(at, 4, at, height - 24, "reference"))
    for i, (name, figure) in enumerate(order):
        y = 6 + _ROW * (i + 0.5)
        kind = "point best" if figure.best else "point"
        kind = f"{kind} quiet" if name in REFERENCES else kind
        tip = f"{name}: {figure.value:.4f}"
        if figure.low is not None and figure.high is not None:
            marks.append(svg.line(x(figure.low), y, x(figure.high), y, f"whisker {kind}"))
            tip += f" (95%: {figure.low:.4f} to {figure.high:.4f})"
        dot = f'<circle cx="{x(figure.value):.1f}" cy="{y:.1f}" r="5.5"/>'
        marks.append(svg.group(dot, kind, tip))
        marks.append(svg.text(left - 12, y + 4, name, "name end"))
        marks.append(svg.text(right + 14, y + 4, f"{figure.value:.3f}", f"value {kind}"))
    better = "lower" if lower else "higher"
    return svg.drawing(_WIDTH, height, marks, f"{found.title} of each model; {better} is better")


def trade(found: TradeOff) -> Markup:
    """Draw a dot a model: to the right the more varied its lists, up the better."""
    width, left, right, top, bottom = _WIDTH, 52, 110, 12, 214
    xs, ys = [p.spread for p in found.points], [p.worth for p in found.points]
    across, up = svg.ticks(min(xs), max(xs)), svg.ticks(min(ys), max(ys), 4)
    x, y = (
        svg.PixelScale(across[0], across[-1], left, width - right),
        svg.PixelScale(up[0], up[-1], bottom, top),
    )
    marks = [
        *svg.vertical_grid(x, across, bottom),
        *svg.horizontal_grid(y, up, left, width - right),
        svg.text((left + width - right) / 2, bottom + 38, found.spread, "axis middle"),
    ]
    label_at = _apart({p.name: y(p.worth) for p in found.points}, 13)
    height = max(bottom + 46, *(at + 10 for at in label_at.values()))
    for point in found.points:
        kind = "point quiet" if point.name in REFERENCES else "point"
        dot = f'<circle cx="{x(point.spread):.1f}" cy="{y(point.worth):.1f}" r="5.5"/>'
        tip = f"{point.name}: {found.worth} {point.worth:.4f}, {found.spread} {point.spread:.4f}"
        marks.append(svg.group(dot, kind, tip))
        marks.append(svg.text(x(point.spread) + 10, label_at[point.name] + 4, point.name, "name"))
    return svg.drawing(
        width, height, marks, f"{found.worth} and {found.spread} of each model's lists"
    )


def losses(curve: LossCurve) -> Markup:
    """Draw the losses of one fit over its iterations, each line named at its end."""
    width, height, left, right, top, bottom = _PANEL, 190, 44, 58, 12, 158
    points = [point for line in curve.splits.values() for point in line]
    ticks = svg.ticks(min(v for _, v in points), max(v for _, v in points), 4)
    last = max(iteration for iteration, _ in points)
    first = min(iteration for iteration, _ in points)
    x = svg.PixelScale(first, max(last, first + 1), left, width - right)
    y = svg.PixelScale(ticks[0], ticks[-1], bottom, top)
    marks = [*svg.horizontal_grid(y, ticks, left, width - right)]
    marks += [
        svg.text(x(first), bottom + 20, str(first), "tick"),
        svg.text(x(last), bottom + 20, str(last), "tick middle"),
        svg.text((x(first) + x(last)) / 2, bottom + 20, "iteration", "axis middle"),
    ]
    ends = {split: line[-1][1] for split, line in curve.splits.items()}
    label_at = _apart({split: y(value) for split, value in ends.items()}, 13)
    for split, line in curve.splits.items():
        path = " ".join(f"{x(i):.1f},{y(v):.1f}" for i, v in line)
        tip = f"{curve.model}, {split}: {line[0][1]:.4f} to {ends[split]:.4f}"
        marks.append(svg.group(f'<polyline points="{path}"/>', f"curve {split}", tip))
        end = f'<circle cx="{x(line[-1][0]):.1f}" cy="{y(ends[split]):.1f}" r="3.5"/>'
        marks.append(svg.group(end, f"curve-end {split}", tip))
        marks.append(
            svg.text(width - right + 8, label_at[split] + 4, f"{ends[split]:.3f}", "value")
        )
    return svg.drawing(width, height, marks, f"Losses of {curve.model}: {', '.join(curve.splits)}")


def bars(distribution: Distribution) -> Markup:
    """Draw a bar a range, with its count above."""
    n, width, top, bottom = len(distribution.bars), _PANEL, 24, 150
    most = max((bar.value for bar in distribution.bars), default=0) or 1
    total = sum(bar.value for bar in distribution.bars) or 1
    step = (width - 8) / max(n, 1)
    thick = min(48.0, step - 3)
    widest = max((len(bar.label) for bar in distribution.bars), default=1)
    every = math.ceil((6.5 * widest + 8) / step)  # labels that do not touch
    counted = 7 * max((len(_short(b.value)) for b in distribution.bars), default=0) < step
    marks = [svg.line(0, bottom, width, bottom, "axis-line")]
    for i, bar in enumerate(distribution.bars):
        tall = (bottom - top) * bar.value / most
        at = 4 + step * (i + 0.5)
        tip = f"{bar.label}: {bar.value:,} ({bar.value / total:.1%})"
        marks.append(svg.group(_column(at - thick / 2, bottom, thick, tall), "bar", tip))
        if counted:
            marks.append(svg.text(at, bottom - tall - 7, _short(bar.value), "value middle"))
        if i % every == 0:
            marks.append(svg.text(at, bottom + 18, bar.label, "tick middle"))
    return svg.drawing(width, bottom + 28, marks, distribution.title)


def heatmap(heat: Heatmap) -> Markup:
    """Draw a square a pair, the darker the more alike; pairs that are no neighbors stay empty."""
    n = len(heat.labels)
    size = max(11, min(30, 420 // max(n, 1)))
    labels = 8 + 6.2 * max((min(len(label), 24) for label in heat.labels), default=0)
    side = n * size
    known = [v for row in heat.values for v in row if v is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    span = (high - low) or 1.0
    marks: list[Markup] = []
    for i, (label, row) in enumerate(zip(heat.labels, heat.values, strict=True)):
        y = i * size
        marks.append(svg.text(labels - 8, y + size / 2 + 4, _clipped(label), "tick end"))
        for j, value in enumerate(row):
            if value is None:
                continue
            strength = 0.06 + 0.94 * (value - low) / span
            tip = f"{label} and {heat.labels[j]}: {value:.3f}"
            marks.append(_square(labels + j * size, y, size - 1.5, strength, tip))
    at, end = labels, labels + side
    for k in range(24):
        x = at + k * 6
        marks.append(_square(x, side + 14, 6, 0.06 + 0.94 * k / 23, ""))
    marks.append(svg.text(at, side + 40, f"{low:.2f}", "tick"))
    marks.append(svg.text(at + 24 * 6, side + 40, f"{high:.2f}", "tick end"))
    return svg.drawing(max(end, at + 150) + 4, side + 46, marks, heat.title)


def _apart(positions: dict[str, float], least: float) -> dict[str, float]:
    """Move labels down so that none covers another."""
    placed: dict[str, float] = {}
    last = -math.inf
    for name, position in sorted(positions.items(), key=lambda item: item[1]):
        last = max(position, last + least)
        placed[name] = last
    return placed


def _square(x: float, y: float, size: float, strength: float, tip: str) -> Markup:
    where = f'x="{x:.1f}" y="{y:.1f}" width="{size:.1f}" height="{size:.1f}"'
    shade = f'fill-opacity="{strength:.3f}"'
    title = Markup("<title>{}</title>").format(printable(tip)) if tip else Markup("")
    return Markup('<rect class="heat" {} {}>{}</rect>').format(Markup(where), Markup(shade), title)


def _column(x: float, bottom: float, width: float, height: float) -> str:
    """Return a bar with round upper corners."""
    r = min(4.0, height, width / 2)
    return (
        f'<path d="M{x:.1f},{bottom:.1f} v{-(height - r):.1f} q0,{-r:.1f} {r:.1f},{-r:.1f} '
        f'h{width - 2 * r:.1f} q{r:.1f},0 {r:.1f},{r:.1f} v{height - r:.1f} z"/>'
    )


def _short(n: int) -> str:
    """Return such as 950, 5.6k or 12M."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if n >= size:
            return f"{n / size:.2g}{unit}" if n < 100 * size else f"{n / size:.0f}{unit}"
    return str(n)


def _clipped(label: str, most: int = 24) -> str:
    return label if len(label) <= most else f"{label[: most - 1]}…"
