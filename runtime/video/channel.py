"""A bounded queue between two threads, which either end can close."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Channel(Generic[T]):
    """Carries items in order from one thread to another; at most `capacity` wait.

    `close` ends the sender's work: items that wait are still delivered. `abort` ends everything: items that
    wait are thrown away, and both sides stop at once. (queue.Queue has this from Python 3.13 on.)
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = self._aborted = False

    def put(self, item: T) -> bool:
        """Wait for room and hand an item over; False if the channel was closed and nobody will take it."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._capacity)
            if self._closed:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def __iter__(self) -> Iterator[T]:
        """Yield items until the channel is closed and empty, or aborted."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or bool(self._items))
                if self._aborted or not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
            del item

    def close(self) -> None:
        """Take no more items; those that wait are delivered."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abort(self) -> None:
        """Stop both sides and drop what waits."""
        with self._changed:
            self._closed = self._aborted = True
            self._items.clear()
            self._changed.notify_all()
