"""The page as a whole: what it says, and that it needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace

import pytest

from mfspark.queries.list_search import SearchableLists
from mfspark.queries.report.page import render
from tests.support.made_report import EMPTY, EVIL, FULL, PUBLISHED


def section(page: str, name: str) -> str:
    found = re.search(rf'<section id="{name}">.*?</section>', page, re.DOTALL)
    assert found is not None
    return found[0]


def test_everything_is_said() -> None:
    page = render(FULL)
    for text in (
        *("Night of 2026-11-22", "lists are short", "0.900", "0.800 to 1.000", "3.0 s", "50%"),
        *("Drama", "Crime, Drama", "by popularity", "4.25", ">77<", "Scores are ratings."),
        *("People get the lists of als", "because: none is surely better", "above als"),
        *("maybe by chance", "+0.0625", "-0.0125 to +0.1250", ">943<"),
        *("missing_user", "33.33%", "text split by", "few (1-3)", "0.125"),
    ):
        assert text in page, text
    assert re.search(r'class="known"[^>]*>5<', page)
    assert re.search(r'class="guess"[^>]*>3\.6<', page)
    # three figures over the nights, two metrics, the trade, losses, bars, a heatmap
    assert page.count('<svg class="chart') == 9


def test_the_verdict_comes_first_and_all_gates_are_a_table() -> None:
    page = render(FULL)
    assert page.index('id="verdict"') < page.index("<section")
    assert re.search(r'class="state bad">Refused</span>Not published\.', page)
    assert "<li>ranking, als: worse</li>" in page
    gates = section(page, "gates")
    row = re.search(r"<tr><td>ranking.*?</tr>", gates, re.DOTALL)
    assert row is not None
    for text in ("✕ refused", "als<small>of 3", "31.0% (25.0% to 40.0%)", ">10.0%<", ">0.3450<"):
        assert text in row[0], text
    assert "! warned" in gates
    assert "✓ passed" in gates
    assert "\N{EN DASH} not judged" in gates
    assert "All 4 verdicts" in gates
    assert ">off</span>" in gates, "why it was not judged"


@pytest.mark.parametrize(
    ("state", "kind"),
    [("published", "good"), ("stale", "warn"), ("superseded", "warn"), ("refused", "bad")],
)
def test_the_state_is_a_word_and_a_colour(state: str, kind: str) -> None:
    page = render(replace(EMPTY, verdict=replace(PUBLISHED, state=state)))
    assert f'<span class="state {kind}">{state.capitalize()}</span>' in page


def test_tonight_stands_beside_the_last_night() -> None:
    history = section(render(FULL), "history")
    row = re.search(r"<tr><td>NDCG@10 of the served lists</td>.*?</tr>", history, re.DOTALL)
    assert row is not None
    for text in (">0.2100<", ">0.2200<", ">+0.0100<", "better"):
        assert text in row[0], text
    assert re.search(r"train als</span><span><small>\(3\.0 s\)</small> 4\.0 s<", history)
    assert "No night before this one" not in history


def test_a_night_of_which_little_is_known_has_a_page_too() -> None:
    page = render(EMPTY)
    assert "0 rows were read and none was rejected" in page
    for name in ("metrics", "losses", "similarity", "completed", "lists", "history"):
        assert f'id="{name}"' not in page


def test_words_follow_their_numbers() -> None:
    page = render(FULL)
    assert ">1 rating, 3.50 on average<" in page
    ingest = replace(FULL.summary.ingest, n_rows=1)
    one = render(replace(EMPTY, summary=replace(EMPTY.summary, ingest=ingest)))
    assert "1 row was read and none was rejected" in one


def test_the_page_needs_nothing_else() -> None:
    page = render(FULL)
    assert not re.search(r"https?://|<script[^>]+src|<link rel=.stylesheet|@import|url\(", page)
    assert "default-src 'none'" in page


def test_only_our_own_script_may_run() -> None:
    """A browser runs what has the hash that the policy names, and nothing else."""
    page = render(FULL)
    allowed = re.search(r"script-src '([^']+)'", page)
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert allowed is not None
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert (len(scripts), allowed[1]) == (1, f"sha256-{digest}")
    assert "<script" not in render(EMPTY)


def test_what_data_says_is_text() -> None:
    page = render(FULL)
    assert "<img" not in page
    assert "\x1b" not in page
    assert page.count("</script>") == 2, "the data of the search, and the script"
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") >= 5


def test_the_search_knows_every_text_as_it_is() -> None:
    page = render(FULL)
    data = re.search(r'<script type="application/json" id="searched">(.*?)</script>', page)
    assert data is not None
    told = json.loads(data[1])
    assert told["texts"][1] == EVIL.replace("\x1b", "\ufffd")
    assert told["users"]["u1"] == [1, [[0, 5.0]], [[1, 4.25, 3, [1]]]]
    assert '<div class="card search" id="search" hidden>' in page, "nothing to see without scripts"
    assert re.search(r"<noscript>.*mfspark show USER.*</noscript>", page)


def test_a_thousand_lists_leave_the_page_small() -> None:
    texts = ["", *(f"A title of a film, number {i} (1999)" for i in range(1_682))]
    entries = [(i, 4.1234, 0, [i + 1, i + 2, i + 3]) for i in range(10)]
    users = {f"user-{u}": (100, [(1, 5.0), (2, 5.0), (3, 4.5)], entries) for u in range(1_000)}
    search = SearchableLists(texts, [(i + 1, 0) for i in range(1_682)], users)
    assert len(render(replace(FULL, search=search)).encode()) < 1_000_000


def test_narrow_screens_name_every_figure_in_its_own_line() -> None:
    """Tables become cards there: each number carries the name of its column."""
    page = render(FULL)
    for table in re.findall(r'<table class="stacked">.*?</table>', page, re.DOTALL):
        for cell in re.findall(r'<td class="num[^>]*>(?!</td>)', table):
            assert "data-label=" in cell, cell
    assert 'data-label="NDCG@10"' in section(page, "metrics")
    for wide in ("matrix", "chart whole"):
        before = page[: page.index(f'class="{wide}"')]
        assert 'class="scroll" tabindex="0"' in before[before.rindex("<div") :], wide
