"""Progress of long work: plain functions take a `Track`, the command line hands in one that draws."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")
Say = Callable[[str], None]
"""Takes one line for the person."""


class Track(Protocol):
    """Pass the items of an iterable through and show how far it has come."""

    def __call__(self, items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
        """Yield the items; `total` where the iterable has no length."""
        ...


def silent(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Show nothing."""
    return iter(items)


def quiet(message: str) -> None:
    """Say nothing."""
