from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise

import pytest
from markupsafe import Markup

from mfspark.evaluation.catalog import NDCG, RMSE
from mfspark.queries.list_worth import TradeOff, TradePoint
from mfspark.queries.report import charts, svg
from mfspark.queries.report.content import Bar, Distribution, Heatmap, LossCurve
from mfspark.queries.summary import Figure, MetricFigures


def parsed(chart: Markup) -> ET.Element:
    """Every chart is well-formed XML, and nothing lies outside of it but rounding."""
    root = ET.fromstring(chart)
    width, height = (float(root.attrib[name]) for name in ("width", "height"))
    for mark in root.iter():
        for name, most in (
            ("x", width),
            ("cx", width),
            ("x1", width),
            ("y", height),
            ("cy", height),
        ):
            if name in mark.attrib:
                assert -1 <= float(mark.attrib[name]) <= most + 1, (mark.tag, mark.attrib)
    return root


def of_class(root: ET.Element, kind: str) -> list[ET.Element]:
    return [mark for mark in root.iter() if kind in mark.attrib.get("class", "").split()]


def metric(lower: bool = True, **values: float) -> MetricFigures:
    best = min(values.values()) if lower else max(values.values())
    figures = {n: Figure(v, v - 0.1, v + 0.1, v == best) for n, v in values.items()}
    return MetricFigures(replace(RMSE, lower_is_better=lower), "RMSE", figures)


@pytest.mark.parametrize(
    ("lower", "order"), [(True, ["als", "svd", "baseline"]), (False, ["baseline", "svd", "als"])]
)
def test_models_stand_in_order_with_dots_at_their_values(lower: bool, order: list[str]) -> None:
    root = parsed(charts.intervals(metric(lower, baseline=1.0, als=0.8, svd=0.9)))
    assert [mark.text for mark in of_class(root, "name")] == order
    circles = [c for c in root.iter() if c.tag == "circle"]
    at = dict(zip(order, (float(c.attrib["cx"]) for c in circles), strict=True))
    assert at["svd"] - at["als"] == pytest.approx(at["baseline"] - at["svd"], abs=0.2)
    (reference,) = of_class(root, "reference")
    assert float(reference.attrib["x1"]) == pytest.approx(at["baseline"], abs=0.1)
    for dot, whisker in zip(circles, of_class(root, "whisker"), strict=True):
        middle = (float(whisker.attrib["x1"]) + float(whisker.attrib["x2"])) / 2
        assert middle == pytest.approx(float(dot.attrib["cx"]), abs=0.2)


def test_lists_stand_to_the_right_where_varied_and_up_where_good() -> None:
    points = [TradePoint("ials", 0.4, 0.5), TradePoint("popularity", 0.2, 0.3),
              TradePoint("ials, varied", 0.3, 0.7)]  # fmt: skip
    root = parsed(charts.trade(TradeOff("NDCG@10", "diversity@10", points)))
    circles = [c for c in root.iter() if c.tag == "circle"]
    x, y = ([float(c.attrib[name]) for c in circles] for name in ("cx", "cy"))
    assert x[1] < x[0] < x[2]
    assert x[0] - x[1] == pytest.approx(x[2] - x[0], abs=0.2)
    assert y[0] < y[2] < y[1], "up is less in an image"
    assert [mark.text for mark in of_class(root, "name")] == [p.name for p in points]
    same = [TradePoint(f"model {i}", 0.0, 0.5) for i in range(12)]
    parsed(charts.trade(TradeOff("NDCG@10", "diversity@10", same)))


def test_a_figure_without_an_interval_and_equal_figures_are_drawn_too() -> None:
    same = MetricFigures(NDCG, "NDCG", {"a": Figure(0.5), "b": Figure(0.5)})
    root = parsed(charts.intervals(same))
    assert not of_class(root, "whisker")
    assert not of_class(root, "reference")
    assert len([c for c in root.iter() if c.tag == "circle"]) == 2


def test_losses_fall_on_the_page_as_they_fell() -> None:
    splits = {
        "train": [(1, 1.0), (2, 0.5), (3, 0.25)],
        "validation": [(1, 1.1), (2, 0.9), (3, 0.26)],
    }
    root = parsed(charts.losses(LossCurve("als", splits, 2.0)))
    lines = [m.attrib["points"].split() for m in root.iter() if m.tag == "polyline"]
    heights = [[float(p.split(",")[1]) for p in line] for line in lines]
    assert all(h == sorted(h) for h in heights)  # downwards is a larger y
    first, second, third = heights[0]
    assert second - first == pytest.approx(2 * (third - second), abs=0.3)
    labels = [float(m.attrib["y"]) for m in of_class(root, "value")]
    assert abs(labels[0] - labels[1]) >= 13  # the ends are near, their labels are not


def test_one_iteration_makes_a_chart() -> None:
    parsed(charts.losses(LossCurve("als", {"train": [(1, 0.0)]}, 0.0)))


def test_bars_are_as_long_as_their_counts_and_each_says_what_and_how_many() -> None:
    distribution = Distribution("Ratings", [Bar("1-5", 10), Bar("6-10", 40), Bar("11-15", 0)])
    root = parsed(charts.bars(distribution))
    assert [m.text for m in of_class(root, "name")] == ["1-5", "6-10", "11-15"]
    assert [m.text for m in of_class(root, "value")] == ["10", "40", "0"]
    tips = [m[0].text for m in of_class(root, "bar")]
    assert tips == ["1-5: 10 (20.0%)", "6-10: 40 (80.0%)", "11-15: 0 (0.0%)"]
    long = [float(m[1].attrib["width"]) for m in of_class(root, "bar")]
    assert long[1] == pytest.approx(4 * long[0], abs=0.2)
    assert long[2] == 0
    assert long[1] > 250, "the longest takes the room there is"
    parsed(charts.bars(Distribution("Nothing", [])))


def test_twenty_bars_with_long_labels_stay_apart() -> None:
    bars = [Bar(f"{i * 50_000 + 1}-{(i + 1) * 50_000}", 20_000_263) for i in range(20)]
    root = parsed(charts.bars(Distribution("Many", bars)))
    rows = [float(m.attrib["y"]) for m in of_class(root, "name")]
    assert all(later - one >= 14 for one, later in pairwise(rows))
    ends = [float(m.attrib["x"]) + 7 * len(m.text or "") for m in of_class(root, "value")]
    assert max(ends) <= float(root.attrib["width"])


def test_a_figure_is_drawn_night_by_night() -> None:
    nights = [("2026-11-20", 0.25), ("2026-11-21", 0.5), ("2026-11-22", 0.375)]
    root = parsed(charts.trend("NDCG", nights, lambda value: f"{value:.3f}"))
    dots = [c for c in root.iter() if c.tag == "circle"]
    x, y = ([float(dot.attrib[name]) for dot in dots] for name in ("cx", "cy"))
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.2)
    assert y[0] - y[1] == pytest.approx(2 * (y[0] - y[2]), abs=0.3)
    assert [m.text for m in of_class(root, "value")] == ["0.375"], "tonight's"
    assert [m.text for m in of_class(root, "tick")][-2:] == ["2026-11-20", "2026-11-22"]
    tips = [m[0].text for m in of_class(root, "curve-point")]
    assert tips == ["2026-11-20: 0.250", "2026-11-21: 0.500"]
    counts = parsed(charts.trend("ratings", [("a", 2e7), ("b", 2e7)], lambda v: f"{v:,.0f}"))
    assert not [m.text for m in of_class(counts, "tick") if "e+" in (m.text or "")]


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (7, "7"),
        (950, "950"),
        (5_607, "5.6k"),
        (12_345, "12k"),
        (123_456, "123k"),
        (20_000_263, "20M"),
    ],
)
def test_counts_are_short(n: int, text: str) -> None:
    assert charts._short(n) == text


def test_squares_are_the_darker_the_more_alike() -> None:
    heat = Heatmap(
        "Users", ["a", "b", "c"], [[None, 0.2, 0.9], [0.2, None, 0.55], [0.9, 0.55, None]]
    )
    root = parsed(charts.heatmap(heat))
    squares = [m for m in of_class(root, "heat") if len(m)]
    shade = {m[0].text: float(m.attrib["fill-opacity"]) for m in squares}
    assert len(squares) == 6
    assert shade["a and c: 0.900"] == 1.0
    assert shade["a and b: 0.200"] == 0.06
    assert shade["b and c: 0.550"] == pytest.approx(0.53, abs=0.001)


def test_a_heatmap_is_labelled_on_both_sides() -> None:
    long = "A title that is too long for a label"
    root = parsed(charts.heatmap(Heatmap("Items", ["a", long], [[None, 0.5], [0.5, None]])))
    left = [m for m in of_class(root, "label") if "end" in m.attrib["class"]]
    above = [m for m in of_class(root, "label") if "rotate" in m.attrib.get("transform", "")]
    assert [m.text for m in left] == [m.text for m in above] == ["a", "A title that is t…"]
    squares = [m for m in of_class(root, "heat") if len(m)]
    assert float(squares[0].attrib["y"]) <= float(left[0].attrib["y"]) <= (
        float(squares[0].attrib["y"]) + float(squares[0].attrib["height"])
    )  # fmt: skip


def test_ticks_are_round_and_hold_the_range() -> None:
    for low, high in ((0.87, 1.04), (0.0, 0.0), (3.0, 3.0), (-2.0, 150.0), (1e-4, 2e-4)):
        ticks = svg.ticks(low, high)
        assert ticks[0] <= low
        assert high <= ticks[-1]
        assert 2 <= len(ticks) <= 9


def test_names_are_text_and_never_markup() -> None:
    evil = '<script>alert("x")</script>\x1b]0;'
    heat = Heatmap(evil, [evil, "b"], [[None, 0.5], [0.5, None]])
    for chart in (
        charts.heatmap(heat),
        charts.trend(evil, [(evil, 1.0), (evil, 2.0)], str),
        charts.bars(Distribution(evil, [Bar(evil, 3)])),
        charts.intervals(MetricFigures(RMSE, evil, {evil: Figure(1.0)})),
        charts.losses(LossCurve(evil, {"train": [(1, 1.0)]}, 1.0)),
    ):
        assert "<script" not in chart
        parsed(chart)
