"""What the commands print: plain tables on standard output, never interpreting what data says."""

import os
from collections.abc import Collection, Iterable, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mfspark.errors import printable

_PIPED_WIDTH = 140  # a file or pipe has no width; rows stay on one line


def console(*, stderr: bool = False) -> Console:
    """Return a console that takes `[...]` in texts as text."""
    made = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = _PIPED_WIDTH
    return made


def cell(value: object, style: str = "") -> Text:
    """Return a table cell: nothing for None, and no character that steers the terminal."""
    if isinstance(value, Text):
        return value
    text = "" if value is None else str(value)
    return Text(" ".join(printable(text).splitlines()).replace("\t", " "), style=style)


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str = "",
    numbers: Collection[str] = (),
) -> RenderableType:
    """Return a table below its title; `numbers` names the columns that are set flush right."""
    made = Table(box=box.SIMPLE_HEAD)
    for name in columns:
        made.add_column(cell(name), justify="right" if name in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*(cell(value) for value in row))
    # A title of its own: rich would fold it to the width of the table.
    return Group(cell(title, "bold"), made) if title else made


def name_of(item_id: object, title: str | None) -> str:
    """Name an item by its title with its id, or by its id alone."""
    return f"{title} [{item_id}]" if title else str(item_id)  # titles often end with (a year)
