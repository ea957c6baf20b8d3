"""Charts as inline SVG: no script, no file, colours from the page's style sheet.

Each function returns an `<svg class="chart">` whose marks carry `<title>` elements, which browsers
show as tooltips and screen readers read. Classes name what a mark is; `page.css` says how it looks,
in light and in dark. Charts are as wide as the cards of a telephone's page, so that no text gets
smaller there than it is drawn; heatmaps are as large as they are, and scroll.
"""

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from mfspark.errors import printable
from mfspark.evaluation.catalog import REFERENCES
from mfspark.queries.list_worth import TradeOff
from mfspark.queries.report import svg
from mfspark.queries.report.content import Distribution, Heatmap, LossCurve
from mfspark.queries.summary import MetricFigures

_ROW, _LABELS, _WIDTH = 30, 92, 336  # pixels: a row, the names left of it, the whole chart
_LETTER = 7  # pixels that a letter of a label takes, at most
_CELL = 15  # of a heatmap: as high as its labels


def intervals(found: MetricFigures) -> Markup:
    """Draw a dot and its interval a model, best first, and a line at the reference's value."""
    lower = found.metric.lower_is_better
    order = sorted(found.figures.items(), key=lambda f: f[1].value if lower else -f[1].value)
    ends = [e for _, f in order for e in (f.low, f.value, f.high) if e is not None]
    ticks = svg.ticks(min(ends), max(ends), 4)
    left, right = _LABELS, _WIDTH - 52
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
    width, left, right, top, bottom = _WIDTH, 42, 100, 12, 214
    xs, ys = [p.spread for p in found.points], [p.worth for p in found.points]
    across, up = svg.ticks(min(xs), max(xs), 3), svg.ticks(min(ys), max(ys), 4)
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
        at = label_at[point.name]
        if at - y(point.worth) > 2:  # it had to move: a line says whose it is
            marks.append(
                svg.line(x(point.spread), y(point.worth), x(point.spread) + 14, at, "lead")
            )
        marks.append(svg.group(dot, kind, tip))
        marks.append(svg.text(x(point.spread) + 16, at + 4, point.name, "name"))
    return svg.drawing(
        width, height, marks, f"{found.worth} and {found.spread} of each model's lists"
    )


def losses(curve: LossCurve) -> Markup:
    """Draw the losses of one fit over its iterations, each line named at its end."""
    width, height, left, right, top, bottom = _WIDTH, 190, 44, 58, 12, 158
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


def trend(
    title: str, points: Sequence[tuple[str, float]], number: Callable[[float], str]
) -> Markup:
    """Draw a figure over the nights, the oldest first; `number` writes a value."""
    width, height, left, right, top, bottom = _WIDTH, 150, 52, 68, 12, 118
    values = [value for _, value in points]
    ticks = svg.ticks(min(values), max(values), 3)
    x = svg.PixelScale(0, max(len(points) - 1, 1), left, width - right)
    y = svg.PixelScale(ticks[0], ticks[-1], bottom, top)
    marks = [*svg.horizontal_grid(y, ticks, left, width - right, _brief)]
    path = " ".join(f"{x(i):.1f},{y(value):.1f}" for i, value in enumerate(values))
    marks.append(svg.group(f'<polyline points="{path}"/>', "curve", title))
    for i, (night, value) in enumerate(points):
        dot = f'<circle cx="{x(i):.1f}" cy="{y(value):.1f}" r="4"/>'
        kind = "curve-end" if i == len(points) - 1 else "curve-point"
        marks.append(svg.group(dot, kind, f"{night}: {number(value)}"))
    marks.append(svg.text(width - right + 10, y(values[-1]) + 4, number(values[-1]), "value"))
    marks.append(svg.text(left, bottom + 20, points[0][0], "tick"))
    marks.append(svg.text(width - right, bottom + 20, points[-1][0], "tick end"))
    return svg.drawing(width, height, marks, f"{title} of {len(points)} nights")


def bars(distribution: Distribution) -> Markup:
    """Draw a bar a range, one below another, each with its label and its count."""
    row, labels = 24, 14 + _LETTER * max((len(b.label) for b in distribution.bars), default=0)
    most = max((bar.value for bar in distribution.bars), default=0) or 1
    total = sum(bar.value for bar in distribution.bars) or 1
    widest = max((len(_short(bar.value)) for bar in distribution.bars), default=0)
    room = _WIDTH - labels - _LETTER * widest - 12
    height = row * len(distribution.bars) + 6
    marks = [svg.line(labels, 2, labels, height - 2, "axis-line")]
    for i, bar in enumerate(distribution.bars):
        y, long = row * i + 3, room * bar.value / most
        tip = f"{bar.label}: {bar.value:,} ({bar.value / total:.1%})"
        shape = f'<rect x="{labels:.1f}" y="{y + 3:.1f}" width="{long:.1f}" height="18" rx="3"/>'
        marks.append(svg.group(shape, "bar", tip))
        marks.append(svg.text(labels - 8, y + 16, bar.label, "name end"))
        marks.append(svg.text(labels + long + 6, y + 16, _short(bar.value), "value"))
    return svg.drawing(_WIDTH, height, marks, distribution.title)


def heatmap(heat: Heatmap) -> Markup:
    """Draw a square a pair, the stronger the more alike; pairs that are no neighbors stay empty.

    Its labels stand at the left and above.
    """
    shown = [_clipped(label) for label in heat.labels]
    start = 8 + _LETTER * max((len(label) for label in shown), default=0)
    values = [v for row in heat.values for v in row if v is not None]
    low, high = min(values, default=0.0), max(values, default=1.0)
    end = start + _CELL * len(shown)
    marks: list[Markup] = []
    for i, label in enumerate(shown):
        at = start + _CELL * i
        marks.append(svg.text(start - 6, at + 11, label, "label end"))
        marks.append(svg.upright(at + 11, start - 6, label, "label"))
        for j, value in enumerate(heat.values[i]):
            if value is None:
                continue
            strength = 0.06 + 0.94 * (value - low) / ((high - low) or 1.0)
            tip = f"{heat.labels[i]} and {heat.labels[j]}: {value:.3f}"
            marks.append(_square(start + _CELL * j, at, _CELL - 1.5, strength, tip))
    legend = ((start + k * 6, 0.06 + 0.94 * k / 23) for k in range(24))
    marks += [_square(x, end + 14, 6, strength, "") for x, strength in legend]
    marks.append(svg.text(start, end + 40, f"{low:.2f}", "tick"))
    marks.append(svg.text(start + 24 * 6, end + 40, f"{high:.2f}", "tick end"))
    width = max(end, start + 150) + 4
    return svg.drawing(width, end + 46, marks, f"Similarities: {heat.title}", "chart whole")


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


def _short(n: int) -> str:
    """Return such as 950, 5.6k or 12M."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if n >= size:
            return f"{n / size:.2g}{unit}" if n < 100 * size else f"{n / size:.0f}{unit}"
    return str(n)


def _brief(value: float) -> str:
    """Write a tick: counts from 10,000 on in short."""
    return _short(round(value)) if abs(value) >= 10_000 else f"{value:g}"


def _clipped(label: str, most: int = 18) -> str:
    return label if len(label) <= most else f"{label[: most - 1]}…"
