"""Tables and lists of facts, drawn alike everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import ROUNDED
from rich.console import RenderableType
from rich.table import Table

Lines = Iterable[RenderableType]
"""What a report is made of: things rich can print, from top to bottom."""

NAME_WIDTH = 24
"""Characters of a first column that is never folded, however narrow the terminal."""

Pairs = list[tuple[str, str]]
"""Names and values."""


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table; a column whose name ends in `#` is flush right, the mark left out."""
    made = Table(title=title or None, box=ROUNDED, title_justify="left", header_style="bold")
    for index, column in enumerate(columns):
        number = column.endswith("#")
        made.add_column(
            column.removesuffix("#"),
            justify="right" if number else "left",
            style="cyan" if index == 0 else "",
            overflow="fold",
            no_wrap=index == 0 and all(len(row[0]) <= NAME_WIDTH for row in rows),
        )
    for row in rows:
        made.add_row(*row)
    return made


def facts(pairs: Pairs) -> Table:
    """Names and values below each other, without lines."""
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs:
        made.add_row(name, value)
    return made
