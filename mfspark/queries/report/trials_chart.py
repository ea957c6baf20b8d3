"""Trials of `mfspark tune` as one SVG file that needs no page around it."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mfspark.queries.report import svg

_WIDTH, _PANEL, _LEFT, _RIGHT = 640, 230, 64, 84
_STYLE = """
svg.chart { font-family: "Helvetica Neue", Arial, sans-serif; background: #fff; }
text { fill: #5e5c57; font-size: 12px; } .name { fill: #1c1b19; font-size: 14px; }
.value { fill: #2456c8; } .end { text-anchor: end; } .middle { text-anchor: middle; }
.grid { stroke: #e6e3dc; } .reference { stroke: #c2571a; stroke-dasharray: 4 4; }
.whole circle { fill: #1c1b19; fill-opacity: .6; } .best circle { fill: #2456c8; }
.short circle { fill: none; stroke: #8b8983; }
polyline { fill: none; stroke: #2456c8; stroke-width: 1.5; }
"""


@dataclass(frozen=True)
class TrialPoints:
    """The trials of one model."""

    title: str
    whole: Sequence[tuple[int, float]]
    """Number and value of each whole fit, in order; the first has the options as configured."""
    short: Sequence[tuple[int, float]]
    """Number and value of each that was stopped after a short fit."""
    lower_is_better: bool


def trials_chart(models: Sequence[TrialPoints]) -> str:
    """Draw a panel a model: a dot a trial, the best so far as a line, the first value dashed."""
    marks = [Markup("<style>{}</style>").format(Markup(_STYLE))]
    for number, model in enumerate(models):
        marks += _panel(model, top=number * _PANEL)
    height = max(1, len(models)) * _PANEL
    drawn = svg.drawing(_WIDTH, height, marks, "Trials of each model, in order")
    return str(drawn).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


def _panel(model: TrialPoints, top: float) -> list[Markup]:
    marks = [svg.text(8, top + 20, model.title, "name")]
    if not model.whole:
        return marks
    values = [value for _, value in model.whole]
    low, high = min(values), max(values)
    # Trials that were stopped early may be far off: they stay at the edge.
    ticks = svg.ticks(low, high)
    y = svg.PixelScale(ticks[0], ticks[-1], top + _PANEL - 40, top + 36)
    last = max(number for number, _ in (*model.whole, *model.short))
    x = svg.PixelScale(0, max(last, 1), _LEFT, _WIDTH - _RIGHT)
    marks += svg.horizontal_grid(y, ticks, _LEFT, _WIDTH - _RIGHT)
    first = y(values[0])
    marks.append(svg.line(_LEFT, first, _WIDTH - _RIGHT, first, "reference"))
    for number, value in model.short:
        at = y(min(max(value, ticks[0]), ticks[-1]))
        dot = f'<circle cx="{x(number):.1f}" cy="{at:.1f}" r="3"/>'
        marks.append(svg.group(dot, "short", f"trial {number}, stopped early: {value:.4f}"))
    choose = min if model.lower_is_better else max
    best = choose(values)
    steps, so_far = [], values[0]
    for number, value in model.whole:
        steps.append(f"{x(number):.1f},{y(so_far):.1f}")
        so_far = choose(so_far, value)
        steps.append(f"{x(number):.1f},{y(so_far):.1f}")
        kind = "best" if value == best else "whole"
        dot = f'<circle cx="{x(number):.1f}" cy="{y(value):.1f}" r="4"/>'
        marks.append(svg.group(dot, kind, f"trial {number}: {value:.4f}"))
    steps.append(f"{x(last):.1f},{y(best):.1f}")
    line = f'<polyline points="{" ".join(steps)}"/>'
    marks.append(svg.group(line, "curve", f"best so far: {best:.4f}"))
    marks.append(svg.text(_WIDTH - _RIGHT + 10, y(best) + 4, f"{best:.4f}", "value"))
    bottom = top + _PANEL - 40
    marks.append(svg.text(x(0), bottom + 20, "0", "tick middle"))
    marks.append(svg.text(x(last), bottom + 20, str(last), "tick middle"))
    marks.append(svg.text((x(0) + x(last)) / 2, bottom + 20, "trial", "axis middle"))
    return marks
