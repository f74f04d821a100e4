"""Whose frame the engine is given next, where several streams share it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

FIRST_REST_S = 1.0
LONGEST_REST_S = 30.0
FORGET_S = 60.0
"""A frame that ended a process this long ago counts no more."""


class Turns:
    """Round robin over streams with a frame waiting: each gets every n-th turn at least, whatever the others send.

    A stream whose frames end the engine's processes again and again rests, for a time that doubles: restarts are
    bounded, and the others would be left without an engine. A stream that is alone never rests.

    Source: J. Nagle, On Packet Switches with Infinite Storage, RFC 970, 1985.

    Args:
        clock: Monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._order: list[int] = []
        self._fatal: dict[int, tuple[int, float]] = {}
        self._until_s: dict[int, float] = {}

    def add(self) -> int:
        """Let one more stream take part; its number, from 0 on."""
        self._order.append(len(self._order))
        return len(self._order) - 1

    def next(self, waiting: Sequence[bool]) -> int | None:
        """Choose a stream and put it at the end of the row; None where none may have a turn.

        Args:
            waiting: For each stream, whether a frame of it waits.
        """
        for number in self._order:
            if waiting[number] and not self.rests(number):
                self._order.remove(number)
                self._order.append(number)
                return number
        return None

    def rests(self, number: int) -> bool:
        """Tell whether a stream gets no turn now."""
        return len(self._order) > 1 and self._clock() < self._until_s.get(number, 0.0)

    def note_fatal(self, number: int) -> None:
        """Note that an engine's process ended with a stream's frame; from the second one on the stream rests."""
        now_s = self._clock()
        count, at_s = self._fatal.get(number, (0, now_s))
        count = count + 1 if now_s - at_s < FORGET_S else 1
        self._fatal[number] = count, now_s
        if count > 1:
            self._until_s[number] = now_s + min(LONGEST_REST_S, FIRST_REST_S * 2.0 ** min(count - 2, 10))
