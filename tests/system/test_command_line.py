"""Command lines of hints come out of a shell as they went in."""

from __future__ import annotations

import shlex
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mfspark.system.command_line import CommandLine, command_line

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@given(st.lists(WORDS.filter(lambda word: word != "-")), WORDS)
def test_every_word_is_quoted_where_it_must_be(options: list[str], directory: str) -> None:
    here = CommandLine(tuple(options), str(Path.cwd()))
    assert shlex.split(here.of("run", "--set", "a b")) == [
        *("mfspark", "run", *options, "--set", "a b")
    ]
    there = CommandLine(tuple(options), f"/{directory}").of("run")
    assert shlex.split(there) == ["cd", f"/{directory}", "&&", "mfspark", "run", *options]


def test_what_came_through_a_pipe_has_to_come_again() -> None:
    line = CommandLine(("--ratings", "-"), str(Path.cwd())).of("publish")
    assert line == "mfspark publish --ratings - < FILE"


def test_arguments_that_look_like_options_come_last() -> None:
    assert command_line("show", "a b", warehouse="/w", run_id=None) == (
        "mfspark show 'a b' --warehouse /w"
    )
    assert command_line("show", -5, warehouse="/w", run_id="r") == (
        "mfspark show --warehouse /w --run-id r -- -5"
    )
