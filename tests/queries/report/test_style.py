"""Colours of the page can be read: WCAG's contrast of all pairs that it uses, in both modes."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from mfspark.queries.report.content import Report
from tests.support.made_report import FULL

CSS = (resources.files("mfspark.queries.report") / "templates" / "page.css").read_text("utf-8")
MODES = dict(zip(("light", "dark"), re.findall(r":root \{(.*?)\}", CSS, re.DOTALL), strict=True))
AA, GRAPHICS = 4.5, 3.0
Colour = tuple[float, float, float]


def palette(mode: str) -> dict[str, Colour]:
    named = re.findall(r"--([a-z]+): #([0-9a-f]{6});", MODES[mode])
    return {name: _rgb(digits) for name, digits in named}


def _rgb(digits: str) -> Colour:
    red, green, blue = (int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
    return red, green, blue


def luminance(colour: Colour) -> float:
    """Relative luminance, as WCAG 2.2 defines it."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Colour, other: Colour) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def mixed(over: Colour, under: Colour, share: float) -> Colour:
    red, green, blue = (share * o + (1 - share) * u for o, u in zip(over, under, strict=True))
    return red, green, blue


def rules() -> list[tuple[str, str]]:
    """Every rule of the style sheet: (selector, declarations)."""
    return re.findall(r"([^{}]+)\{([^{}]*)\}", re.sub(r"@media[^{]*\{", "", CSS))


def colours_of_text() -> set[str]:
    """The names of all colours that a rule gives to text, in HTML or in SVG."""
    found: set[str] = set()
    for selector, declared in rules():
        found |= set(re.findall(r"(?<![-\w])color: var\(--([a-z]+)\)", declared))
        if ".chart" in selector and not re.search(r"circle|rect|heat|polyline", selector):
            found |= set(re.findall(r"fill: var\(--([a-z]+)\)", declared))
    return found


def test_the_formula_gives_the_known_extremes() -> None:
    assert contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21)
    assert contrast(_rgb("777777"), (1, 1, 1)) == pytest.approx(4.48, abs=0.005)


def test_texts_have_colours_that_are_named_in_both_modes() -> None:
    assert {"ink", "soft", "faint", "accent", "warm", "good", "bad"} <= colours_of_text()
    assert palette("light").keys() == palette("dark").keys()
    plain = [d for s, d in rules() if ":root" not in s and "print" not in s]
    assert not [d for d in plain if re.search(r"(?<![-\w])color: #|fill: #", d)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ground", ["page", "card", "tint"])
def test_every_text_is_readable_on_every_ground(mode: str, ground: str) -> None:
    colours = palette(mode)
    found = {name: contrast(colours[name], colours[ground]) for name in colours_of_text()}
    assert {name: round(c, 2) for name, c in found.items() if c < AA} == {}


@pytest.mark.parametrize("mode", MODES)
def test_known_ratings_are_readable_on_every_shade(mode: str) -> None:
    colours, report = palette(mode), FULL
    assert isinstance(report, Report)
    low, high = report.summary.ingest.rating_scale
    for rating in (low, (low + high) / 2, high):
        ground = mixed(colours["accent"], colours["card"], report.shade(rating))
        assert contrast(colours["ink"], ground) >= AA, (mode, rating)


@pytest.mark.parametrize("mode", MODES)
def test_marks_of_charts_stand_out(mode: str) -> None:
    colours = palette(mode)
    for name in ("accent", "warm", "edge", "ink", "faint"):
        assert contrast(colours[name], colours["card"]) >= GRAPHICS, name
    bar = mixed(colours["accent"], colours["card"], 0.86)
    assert contrast(bar, colours["card"]) >= GRAPHICS


def test_no_text_is_smaller_than_eleven_pixels() -> None:
    sizes = [float(s) for s in re.findall(r"font(?:-size)?: (?:\d+ )?(\d+(?:\.\d+)?)px", CSS)]
    assert len(sizes) > 20
    assert min(sizes) >= 11
    assert not re.findall(r"opacity: 0?\.\d+", "".join(d for s, d in rules() if "text" in s))
