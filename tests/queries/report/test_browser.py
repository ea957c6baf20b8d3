"""What a reader sees: the page in headless Chromium, wide and narrow, light and dark.

The page stands in a frame of the width that is looked at, and a script beside it measures.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mfspark.queries.report.page import render
from tests.support.made_report import EMPTY, EVIL, FULL

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
pytestmark = pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")
LOOK = (Path(__file__).parents[2] / "support" / "measure_page.js").read_text(encoding="utf-8")


def looked_at(
    page: str,
    folder: Path,
    width: int = 1400,
    dark: bool = False,
    typed: tuple[str, ...] = (),
    scripts: bool = True,
) -> dict[str, Any]:
    """Open a page in a browser and return what was measured; its console must stay empty.

    typed: what is searched for, one after another.
    """
    sandbox = "" if scripts else 'sandbox="allow-same-origin"'
    frame = f'<iframe {sandbox} style="border:0" width="{width}" height="30000"'
    words = json.dumps(typed).replace("</", "<\\/")
    path = folder / "frame.html"
    path.write_text(
        f'<!doctype html><meta charset=utf-8><title></title>{frame} srcdoc="{html.escape(page)}">'
        f"</iframe><script>{LOOK}\n"
        f"onload = () => {{ document.title = JSON.stringify(look({words})); }};</script>",
        encoding="utf-8",
    )
    done = subprocess.run(
        [
            *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
            *(f"--user-data-dir={folder / 'profile'}", "--dump-dom"),
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert [line for line in complaints if scripts or "Blocked script" not in line] == []
    title = re.search("<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title is not None
    assert title[1], "the measuring script ended early"
    return json.loads(html.unescape(title[1]))


@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_everything_can_be_read(tmp_path: Path, width: int, dark: bool) -> None:
    found = looked_at(render(FULL), tmp_path, width, dark)
    assert (found["dark"], found["width"]) == (dark, width)
    assert found["overflow"] <= 0
    assert found["outside"] == []
    assert len(found["texts"]) > 150
    assert [text for text in found["texts"] if text[1] < 11] == []
    assert [text for text in found["texts"] if text[2] < 4.5] == []
    assert found["ndcg"]
    assert all(0 < right <= width for right in found["ndcg"]), "never off screen"


def test_every_chart_is_drawn(tmp_path: Path) -> None:
    found = looked_at(render(FULL), tmp_path)
    # nights: a line and two dots each; metrics: a dot a model; losses: two lines and two ends;
    # bars; two squares and 24 of the legend
    assert found["charts"] == [3, 3, 3, 2, 1, 1, 4, 2, 26]
    assert looked_at(render(EMPTY), tmp_path)["charts"] == []


def test_a_user_is_searched_for_offline(tmp_path: Path) -> None:
    evil = EVIL.replace("\x1b", "\ufffd")
    found = looked_at(render(FULL), tmp_path, typed=("u1", "nobody", "u", evil))
    assert found["searching"]
    (_, one), none, (several, _), (_, odd) = found["answers"]
    assert one.startswith("u1 1 rating")
    for text in ("because of </script><img", "Heat", "by popularity", "4.25", "Drama"):
        assert text in one, text
    assert none == ["none of these users", ""]
    assert several.startswith("u1u11"), "those that hold what was typed"
    assert odd.startswith("</script><img src=x")
    assert found["images"] == 0, "data is text"


def test_without_scripts_the_page_says_how_else(tmp_path: Path) -> None:
    found = looked_at(render(FULL), tmp_path, scripts=False)
    assert not found["searching"]
    said = [text for text, _, _ in found["texts"]]
    assert "What people get" in said
    assert any(text.startswith("Searching for a user needs scripts") for text in said)
