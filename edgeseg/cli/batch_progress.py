"""The progress of a batch on stderr: a bar in a terminal, a line a minute in a log."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from edgeseg.cli.output import say

if TYPE_CHECKING:
    from edgeseg.runtime.batch.batch_driver import BatchProgress

LINE_S = 60.0
"""The time between two lines of a log."""


@contextlib.contextmanager
def batch_progress() -> Iterator[Callable[[BatchProgress], None]]:
    """Show how far a batch has come, how fast it is, and how long it will take, while the block lasts."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    console = Console(stderr=True)
    if not console.is_interactive:
        yield _Lines()
        return
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), console=console, transient=True
    ) as bar:
        task = bar.add_task("begins", total=1.0)

        def show(progress: BatchProgress) -> None:
            bar.update(task, completed=progress.bytes_share, description=described(progress))

        yield show


def described(progress: BatchProgress) -> str:
    """Put throughput and the time left into words."""
    left = "?" if progress.seconds_left is None else duration(progress.seconds_left)
    return f"{progress.sources_done}/{progress.sources} sources, {progress.frames_a_second:.1f} frames/s, {left} left"


def duration(seconds: float) -> str:
    """A time as ``3 d 4 h``, ``4 h 5 min``, ``5 min 6 s`` or ``6 s``."""
    parts = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")]
    rest = round(seconds)
    words: list[str] = []
    for length, unit in parts:
        count, rest = divmod(rest, length)
        if count or (unit == "s" and not words):
            words.append(f"{count} {unit}")
    return " ".join(words[:2])


class _Lines:
    """Says a line a minute."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, progress: BatchProgress) -> None:
        if time.monotonic() - self._said >= LINE_S:
            self._said = time.monotonic()
            say(f"{100 * progress.bytes_share:.1f} %, {described(progress)}")
