"""Commands made of their bodies: which options they take, what they are given, how they end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from mfspark.cli.command import command
from mfspark.errors import ExitStatus, StaleError

Number = Annotated[int, typer.Option("--number")]


def opened(number: Number = 1, name: Annotated[str, typer.Option("--name")] = "it") -> str:
    if number < 0:
        raise StaleError(f"{name} is below 0")
    return f"{name} {number}"


def run(register: Callable[[typer.Typer], object], *arguments: str) -> Result:
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, arguments)


def greeting(what: str, word: Annotated[str, typer.Argument()]) -> int | None:
    """Greet what was opened.

    Politely.
    """
    print(word, what)
    return ExitStatus.REFUSED if word == "no" else None


@pytest.mark.parametrize(
    ("arguments", "status", "out"),
    [
        (("hello",), 0, "hello it 1\n"),
        (("hello", "--number", "2", "--name", "you"), 0, "hello you 2\n"),
        (("no",), 5, "no it 1\n"),
        (("hello", "--number", "-1"), 4, ""),
        (("hello", "--number", "x"), 2, ""),
    ],
)
def test_the_body_gets_what_was_opened_and_its_own_options(
    arguments: tuple[str, ...], status: int, out: str
) -> None:
    result = run(lambda app: command(app, given=opened)(greeting), *arguments)
    assert (result.exit_code, result.stdout) == (status, out)
    assert ("mfspark: it is below 0" in result.stderr) == (status == 4)


def test_shared_options_can_be_left_out_and_keep_their_defaults() -> None:
    def register(app: typer.Typer) -> None:
        command(app, given=opened, without=("number",))(greeting)

    assert run(register, "hello").stdout == "hello it 1\n"
    assert run(register, "hello", "--number", "2").exit_code == 2


def test_help_shows_every_option_and_the_text_of_the_body() -> None:
    text = run(lambda app: command(app, given=opened)(greeting), "--help").stdout
    for word in ("Greet what was opened.", "Politely.", "--number", "--name", "--debug"):
        assert word in text


def test_debug_shows_the_stack_of_any_command() -> None:
    def fails() -> None:
        raise ValueError("a defect")

    result = run(lambda app: command(app)(fails), "--debug")
    assert result.exit_code == 70
    assert "Traceback" in result.stderr
