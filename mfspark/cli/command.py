"""How a command is made of its body: shared options taken once, errors on one screen, a status.

A body that returns a `Reply` has the option --json, and all of them have it in the same way.
"""

import inspect
import re
import shlex
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer
from typer.core import TyperCommand

from mfspark.errors import ExitStatus, MfsparkError, printable
from mfspark.system.exit import guarded

if TYPE_CHECKING:
    from mfspark.cli.answers import Answer

READING, KEEPING = "Reading what was published", "Keeping a warehouse"
NIGHTS, TRYING_OUT = "Nights", "Trying out"

HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"]}

Debug = Annotated[bool, typer.Option("--debug", help="Show full stack traces.")]
_DEBUG = inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Debug)
_JSON = inspect.Parameter(
    "as_json",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[
        bool, typer.Option("--json", help="Print one line of JSON (docs/schemas) instead.")
    ],
)
# Annotations of what bodies are given; the classes are imported by the commands that need them.
_LATE: dict[str, Any] = {
    "IngestOptions": object,
    "PublishedRun": object,
    "Request": object,
    "Warehouse": object,
}

_NEGATIVE = re.compile(r"-[0-9].*", re.DOTALL)


class _Command(TyperCommand):
    """A command that says how ids like -5 are given, which look like options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse, but end with the line that works where a negative number is no option's value."""
        takes = [one for one in self.params if not getattr(one, "is_flag", False)]
        before_value = {name for one in takes for name in one.opts if name.startswith("-")}
        before = ["", *args]
        plain = args[: args.index("--")] if "--" in args else args
        ids = [
            word
            for word, last in zip(plain, before, strict=False)
            if _NEGATIVE.fullmatch(word) and last not in before_value
        ]
        if ids:
            others = [word for word in plain if word not in ids]
            words = [*ctx.command_path.split(), *others, "--", *ids, *args[len(plain) + 1 :]]
            print(
                f"mfspark: {' and '.join(ids)}: what begins with - is taken for an option\n"
                f"  ids that do stand after --: {printable(shlex.join(words))}",
                file=sys.stderr,
            )
            ctx.exit(ExitStatus.USAGE)
        return super().parse_args(ctx, args)


@dataclass(frozen=True)
class Reply:
    """What a command found: a line of JSON where that is asked for, otherwise told to people."""

    answer: "Answer"
    tell: Callable[[], None]
    """Prints it for people."""
    error: MfsparkError | None = None
    """What the command ends with once it is printed, either way."""

    def give(self, *, as_json: bool) -> None:
        """Print it. Raises the error that the command ends with."""
        if as_json:
            print(self.answer.line())
        else:
            self.tell()
        if self.error:
            raise self.error


Body = TypeVar("Body", bound="Callable[..., int | Reply | None]")


def command(
    app: typer.Typer,
    name: str | None = None,
    *,
    panel: str | None = None,
    text: str | None = None,
    given: Callable[..., object] | None = None,
    without: Collection[str] = (),
) -> Callable[[Body], Body]:
    """Make a command of a function, its body, and return the body as it is.

    The command takes the options of the body, those of `given` but for `without`, and --debug; also
    --json where the body returns a Reply. The body's first argument is what `given` returns for
    them; it returns what it found, the exit status, or nothing. Name and text are those of the
    function where none are given.
    """

    def register(body: Body) -> Body:
        shared = _options(given) if given else {}
        shared = {key: option for key, option in shared.items() if key not in without}
        own = _options(body, skip=1 if given else 0)
        replies = get_type_hints(body, localns=_LATE).get("return") is Reply
        options = {**own, **shared, **({"as_json": _JSON} if replies else {}), "debug": _DEBUG}

        def invoke(**values: Any) -> None:
            def work() -> int | None:
                opened = [given(**{key: values[key] for key in shared})] if given else []
                found = body(*opened, **{key: values[key] for key in own})
                if not isinstance(found, Reply):
                    return found
                return found.give(as_json=values["as_json"])

            if status := guarded(work, debug=values["debug"]):
                raise typer.Exit(int(status))

        # Both are read by typer, which makes its options of them.
        invoke.__signature__ = inspect.Signature(list(options.values()))  # pyright: ignore[reportFunctionMemberAccess]
        invoke.__annotations__ = {key: option.annotation for key, option in options.items()}
        shown = name or body.__name__.replace("_", "-")
        about = text or inspect.getdoc(body)
        app.command(shown, cls=_Command, help=about, rich_help_panel=panel)(invoke)
        return body

    return register


def _options(function: Callable[..., object], skip: int = 0) -> dict[str, inspect.Parameter]:
    """Return what typer makes options of, by name, from the parameter number `skip` on."""
    hints = get_type_hints(function, localns=_LATE, include_extras=True)
    parameters = list(inspect.signature(function).parameters.values())[skip:]
    return {
        each.name: each.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[each.name])
        for each in parameters
    }


def start(app: typer.Typer) -> None:
    """Run an app with the arguments of this process, and end it with the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a title that the terminal cannot show
    app()
