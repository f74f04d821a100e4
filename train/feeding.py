"""Batches on their way into the loop: made ahead by a thread, shared out among processes, the waiting measured."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from torch import Tensor

T = TypeVar("T")


class WaitClock:
    """Measures how long a loop waits for what it iterates over."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """Waited so far."""

    def timed(self, items: Iterable[T]) -> Iterator[T]:
        """Pass the items through and add up the time that each took to come."""
        iterator = iter(items)
        while True:
            started = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self.seconds += time.perf_counter() - started
            yield item


def share_of(rows: Tensor, rank: int, world_size: int) -> Tensor:
    """Take one process's share of a batch: every row belongs to exactly one process."""
    return rows if world_size == 1 else rows[rank::world_size]


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


_END = object()


class _Producer(threading.Thread):
    """Fills a queue from an iterable until that ends, the queue is closed or the program ends.

    It is no daemon: the interpreter would end one inside a call to PyTorch, whose C++ then aborts the process.
    """

    def __init__(self, items: Callable[[], Iterable[object]], depth: int) -> None:
        super().__init__(name="batches")
        self.waiting: queue.Queue[object] = queue.Queue(depth)
        self.closed = threading.Event()
        self._items = items

    def run(self) -> None:
        """Produce; an error is handed on as an item."""
        try:
            for item in self._items():
                if not self._put(item):
                    return
        except BaseException as error:
            self._put(_Failure(error))
        else:
            self._put(_END)

    def _put(self, item: object) -> bool:
        while not self.closed.is_set() and threading.main_thread().is_alive():
            try:
                self.waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False


def ahead(items: Callable[[], Iterable[T]], depth: int = 2) -> Iterator[T]:
    """Make items in a thread, at most `depth` before they are asked for; order and errors are kept.

    Args:
        items: Gives the iterable; is called in the thread.
        depth: Items that wait at most.
    """
    producer = _Producer(items, depth)
    producer.start()
    try:
        while (item := producer.waiting.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield item  # type: ignore[misc]
    finally:
        producer.closed.set()
        producer.join()
