"""The page as a whole: what it says, that it needs nothing else, and that a browser draws it."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mfspark.evaluation.catalog import COVERAGE, NDCG, RMSE
from mfspark.evaluation.champion import Challenger, Champion
from mfspark.ingest.report import IngestReport
from mfspark.queries.completed import CompletedMatrix
from mfspark.queries.lookup import ListSource, UserList
from mfspark.queries.report.content import (
    Bar,
    Distribution,
    Heatmap,
    LossCurve,
    Rejected,
    Report,
)
from mfspark.queries.report.page import render
from mfspark.queries.summary import Figure, MetricFigures, RunSummary
from mfspark.schemas import IdTypes

EVIL = "<img src=x onerror=alert(1)> & \x1b[31mred"
INGEST = IngestReport(0, 0, 0, 0, {}, (1.0, 5.0), None, IdTypes(), 0, 0)
NOTHING = RunSummary("2026-11-22-abc", Path(), "none", [], [], {}, INGEST, None, None, [])
EMPTY = Report(NOTHING, "2026-11-22", "2026-11-22 03:00 UTC", "0.1", {"ratings": 8})
SUMMARY = replace(
    NOTHING,
    notes=["lists are short"],
    metrics=[
        MetricFigures(
            RMSE, "RMSE", {"als": Figure(0.9, 0.8, 1.0, best=True), "baseline": Figure(1.0)}
        ),
        MetricFigures(COVERAGE, "coverage@10", {"als": Figure(0.5)}),
        MetricFigures(NDCG, "NDCG@10", {}),
    ],
    ingest=replace(INGEST, n_rows=12, read_as={"r.csv": "text split by ','"}),
    table_rows={"ratings": 8},
    champion=Champion(
        *("als", "none is surely better", "ndcg", 10, {"als": 0.25, "ials": 0.3125}, "als"),
        (Challenger("ials", 0.0625, -0.0125, 0.125, 943),),
    ),
)
FULL = replace(
    EMPTY,
    summary=SUMMARY,
    losses=[
        LossCurve("als", {"train": [(1, 1.0), (2, 0.5)], "validation": [(1, 1.2), (2, 1.1)]}, 3.0)
    ],
    distributions=[Distribution("Ratings given", [Bar("1", 3), Bar("5", 9)])],
    heatmaps=[Heatmap("Users", ["u1", EVIL], [[None, 0.5], [0.5, None]])],
    completed=CompletedMatrix(
        ["u1"], ["i1", "i2"], [EVIL, "Heat"], np.array([[4.0, np.nan]]), np.array([[3.9, 3.62]])
    ),
    list_model="als",
    lists=[
        UserList(
            {"id": "u1", "n_ratings": 4, "mean": 3.5},
            ListSource("als", "serving", 10, "publish.n"),
            [
                {
                    "item_id": 1,
                    "title": "Heat",
                    "genres": ["Crime", "Drama"],
                    "score": 4.25,
                    "tier": "popularity",
                },
                {"item_id": 77, "title": None, "genres": None, "score": 4.0, "tier": "als"},
            ],
            [{"item_id": 2, "title": EVIL, "genres": ["Drama"], "rating": 5.0}],
        )
    ],
    rejected=[Rejected("missing_user", 3, [("r.csv", 7, EVIL)]), Rejected("malformed_line", 1, [])],
    config='{"seed": 42}',
)


def test_everything_is_said() -> None:
    page = render(FULL)
    for text in (
        *("Night of 2026-11-22", "lists are short", "0.900", "0.800 to 1.000", "3.0 s", "50%"),
        *("Drama", "Crime, Drama", "by popularity", "4.25", ">77<"),
        *("Lists by <b>als</b>: none is surely better.", "above als", "maybe by chance"),
        *("+0.0625", "-0.0125 to +0.1250", ">943<"),
        *("missing_user", "33.33%", "text split by"),
    ):
        assert text in page, text
    assert re.search(r'class="known"[^>]*>4<', page)
    assert re.search(r'class="guess"[^>]*>3\.6<', page)
    assert page.count('<svg class="chart"') == 4  # coverage has no chart of its own


def test_a_night_of_which_little_is_known_has_a_page_too() -> None:
    page = render(EMPTY)
    assert "0 rows were read and none was rejected" in page
    for section in ("metrics", "losses", "similarity", "completed", "lists"):
        assert f'id="{section}"' not in page


def test_the_page_needs_nothing_else_and_runs_nothing() -> None:
    page = render(FULL)
    assert not re.search(r"https?://|<script|<link rel=.stylesheet|@import|url\(", page)
    assert "default-src 'none'" in page


def test_what_data_says_is_text() -> None:
    page = render(FULL)
    assert "<img" not in page
    assert "\x1b" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") >= 4


BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
PROBE = """<script>
const charts = [...document.querySelectorAll("svg.chart")];
const seen = element => {
  const box = element.getBoundingClientRect();
  return box.width > 0 && box.height > 0;
};
const marks = "circle, path, rect.heat, polyline";
const count = chart => [...chart.querySelectorAll(marks)].filter(seen).length;
document.title = charts.map(chart => `${seen(chart)}:${count(chart)}`).join(" ");
</script></body>"""


@pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")
def test_a_browser_draws_every_chart_without_a_complaint(tmp_path: Path) -> None:
    """The page itself must leave the console empty; a copy with a probe counts what is drawn."""
    page = render(FULL)
    (tmp_path / "page.html").write_text(page)
    probed = page.replace("</body>", PROBE).replace("default-src 'none';", "")
    (tmp_path / "probe.html").write_text(probed)
    outputs = []
    for name in ("page", "probe"):
        done = subprocess.run(
            [
                *(
                    BROWSER,
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--enable-logging=stderr",
                ),
                *(f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"),
                (tmp_path / f"{name}.html").as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert "CONSOLE" not in done.stderr
        outputs.append(done.stdout)
    title = re.search("<title>(.*?)</title>", outputs[1])
    assert title is not None
    drawn = [part.split(":") for part in title[1].split()]
    # two dots; two lines with a dot at each end; two bars; two squares and 24 of the legend
    assert drawn == [["true", "2"], ["true", "4"], ["true", "2"], ["true", "26"]]
