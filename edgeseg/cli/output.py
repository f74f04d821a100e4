"""How commands speak: results on stdout (JSON with --json), progress and words on stderr."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from edgeseg.errors import shown

if TYPE_CHECKING:
    from rich.table import Table

    from edgeseg.values import Value

T = TypeVar("T")

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]


def say(message: str) -> None:
    """A line for the person, on stderr; lost where nobody reads it any more, which is no reason to stop."""
    with contextlib.suppress(BrokenPipeError):
        print(shown(message), file=sys.stderr, flush=True)


def emit(value: Value | dict[str, Any], as_json: bool, text: str) -> None:
    """The command's result: JSON for programs, `text` for persons.

    Args:
        value: What `--json` prints.
        as_json: Whether `--json` was given.
        text: What a person reads instead.
    """
    if not as_json:
        print(shown(text))
        return
    print(json.dumps(value if isinstance(value, dict) else value.to_dict(), indent=2))


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Draw a progress bar with the time left on stderr; see `edgeseg.progress.Track`."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    if not console.is_interactive:  # older rich leaves an empty line in a log
        yield from items
        return
    with Progress(*columns, console=console, transient=True) as progress:
        yield from progress.track(items, description=description, total=total)


def table(title: str, columns: list[str], rows: list[list[str]]) -> str:
    """A table of figures, the first column to the left, the others to the right.

    Where the terminal is too narrow for it, headers are wrapped; figures never are.
    """
    lines = [[line for row in rows for line in row[index].splitlines()] for index in range(len(columns))]
    whole = [max(map(len, [column, *cells])) for column, cells in zip(columns, lines, strict=True)]
    tight = [max(map(len, [*column.split(), *cells])) for column, cells in zip(columns, lines, strict=True)]
    widths = whole if sum(whole) + _GAP * (len(columns) - 1) <= _terminal_width() else tight
    grid = _empty_table()
    for index, (column, width) in enumerate(zip(columns, widths, strict=True)):
        grid.add_column(column, justify="right" if index else "left", width=width)
    for row in rows:
        grid.add_row(*row)
    return _drawn(title, grid, sum(widths) + _GAP * len(columns))


def grid(title: str, columns: list[str], rows: list[list[str]]) -> str:
    """A table of words: every column to the left, long cells folded to the width of the terminal."""
    lines = _empty_table()
    for column in columns:
        lines.add_column(column, overflow="fold")
    for row in rows:
        lines.add_row(*row)
    return _drawn(title, lines, _terminal_width())


_GAP = 2
"""Blanks between two columns."""


def _terminal_width() -> int:
    return max(80, shutil.get_terminal_size((160, 40)).columns)


def _empty_table() -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    return Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)


def _drawn(title: str, lines: Table, width: int) -> str:
    from io import StringIO

    from rich.console import Console

    stream = StringIO()
    Console(file=stream, width=width).print(lines, markup=False)
    return "\n".join([title, *(line.rstrip() for line in stream.getvalue().rstrip().splitlines())])
