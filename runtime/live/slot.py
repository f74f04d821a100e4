"""A slot where one thread leaves frames for another and never waits: what is not fetched in time is replaced."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class NewestSlot(Generic[T]):
    """The newest `capacity` items in order; one too many pushes the oldest out, which is counted.

    `fileno` is readable while something may be there, so that a taker can wait for a slot and a worker at once
    (`multiprocessing.connection.wait`).
    """

    def __init__(self, capacity: int = 1) -> None:
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._changed = threading.Condition()
        self._closed = False
        self._reader, self._writer = os.pipe()
        weakref.finalize(self, _close_both, self._reader, self._writer)  # no thread can use it any more then
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self.drops = 0
        """Items that a newer one pushed out."""

    @property
    def closed(self) -> bool:
        """True if no item will come any more; what waits can still be taken."""
        return self._closed

    def __len__(self) -> int:
        return len(self._items)

    def fileno(self) -> int:
        """A descriptor that is readable while items wait, and from `close` on."""
        return self._reader

    def put(self, item: T) -> None:
        """Leave an item; after `close` it is dropped."""
        with self._changed:
            if self._closed:
                return
            if len(self._items) >= self._capacity:
                self._items.popleft()
                self.drops += 1
            self._items.append(item)
            self._wake()

    def take(self, timeout_s: float = 0.0) -> T | None:
        """The oldest item that waits, after waiting at most so long for one; None where none came or none will."""
        with self._changed:
            if not self._items and timeout_s > 0:
                self._changed.wait_for(lambda: self._closed or bool(self._items), timeout_s)
            item = self._items.popleft() if self._items else None
            if not self._items and not self._closed:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._reader, 4096)
            return item

    def close(self) -> None:
        """Take no more items and wake whoever waits."""
        with self._changed:
            self._closed = True
            self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full of wake-ups that nobody has read: awake enough
            os.write(self._writer, b"\0")
        self._changed.notify_all()


def _close_both(reader: int, writer: int) -> None:
    os.close(reader)
    os.close(writer)
