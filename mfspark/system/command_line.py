"""Command lines that a hint gives: whole, quoted for a shell, and right where they are read."""

import os
import shlex
from dataclasses import dataclass


@dataclass(frozen=True)
class CommandLine:
    """The options that a night was asked for with, and the directory their paths start from."""

    options: tuple[str, ...]
    directory: str

    def of(self, command: str, *more: str) -> str:
        """Return the line that gives a command these options, and some more after them."""
        line = shlex.join(["mfspark", command, *self.options, *more])
        if "-" in self.options:  # what came in through a pipe has to come in again
            line += " < FILE"
        if self.directory == os.getcwd():
            return line
        return f"cd {shlex.quote(self.directory)} && {line}"


def command_line(command: str, *arguments: object, **options: object) -> str:
    """Return a line of a command with arguments and options; options that are None are left out.

    Arguments that begin with a minus come last, after `--`, or they would be taken for options.
    """
    words = [str(argument) for argument in arguments]
    named = [
        word
        for name, value in options.items()
        if value is not None
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    if any(word.startswith("-") for word in words):
        return shlex.join(["mfspark", command, *named, "--", *words])
    return shlex.join(["mfspark", command, *words, *named])
