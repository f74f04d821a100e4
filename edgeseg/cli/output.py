"""How commands speak: results on stdout (JSON with --json), progress and words on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from edgeseg.values import Value

T = TypeVar("T")

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]


def say(message: str) -> None:
    """A line for the person, on stderr."""
    print(message, file=sys.stderr, flush=True)


def emit(value: Value | dict[str, Any], as_json: bool, text: str) -> None:
    """The command's result: JSON for programs, `text` for persons.

    Args:
        value: What `--json` prints.
        as_json: Whether `--json` was given.
        text: What a person reads instead.
    """
    if not as_json:
        print(text)
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
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(items, description=description, total=total)


def table(title: str, columns: list[str], rows: list[list[str]]) -> str:
    """A table as text, as wide as it needs to be."""
    from io import StringIO

    from rich.console import Console
    from rich.table import Table

    grid = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        grid.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        grid.add_row(*row)
    stream = StringIO()
    Console(file=stream, width=160).print(grid)
    return stream.getvalue().rstrip()


def grid(title: str, columns: list[str], rows: list[list[str]], width: int | None = None) -> str:
    """A table of words: every column to the left, long cells folded to the width of the terminal (at least 100)."""
    import shutil
    from io import StringIO

    from rich.console import Console
    from rich.table import Table

    lines = Table(title=title, title_justify="left")
    for column in columns:
        lines.add_column(column, overflow="fold")
    for row in rows:
        lines.add_row(*row)
    stream = StringIO()
    Console(file=stream, width=width or max(100, shutil.get_terminal_size((160, 40)).columns)).print(
        lines, markup=False
    )
    return stream.getvalue().rstrip()
