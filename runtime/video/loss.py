"""Counts the packets that gave no picture, whether the decoder raised an error or not."""

from __future__ import annotations

_REMEMBERED = 64
"""How many packets to remember; decoders hold back fewer frames than this."""
_PART_OF_A_FRAME = 0.75
"""Packets within this part of a picture's duration belong to it: the second field, a frame never shown."""
_STEADY = 8
"""After this many pictures in a row without a gap, a gap means a loss."""
_FEW = 3
"""The longest gap, in frames, that means a loss; a longer one is a pause."""
_UNEVEN = 0.1
"""The part of a picture's duration by which rounding may move a timestamp."""


class PacketLedger:
    """Keeps account of packets: which wait for their picture, since when, and how many will never have one.

    Decoders give pictures in order of presentation, so a packet whose picture should have come before the newest one
    gave none. What precedes the first picture is the beginning of the stream, no loss.

    A container's parser swallows packets in which it finds no picture, which leaves a gap. A gap is taken for a loss
    before a picture that lacks data, and a short one in a stream whose pictures came without a gap.

    Args:
        step: The usual distance of two frames, in the unit of all timestamps here.
        is_even: True if pictures come at an even rate; a camera may skip some, and an index knows better.
    """

    def __init__(self, step: int, is_even: bool) -> None:
        self._step = step
        self._is_even = is_even
        self._arrivals: dict[int, int] = {}
        self._missed: dict[int, None] = {}
        self._last: int | None = None
        self._length = step
        self._steady = 0
        self._shown_until: float | None = None
        self.lost = 0
        """The number of packets without a picture."""

    def send(self, pts: int, arrived_ns: int) -> None:
        """Note that a packet goes to the decoder."""
        self._arrivals[pts] = arrived_ns
        if len(self._arrivals) > _REMEMBERED:
            oldest = next(iter(self._arrivals))
            del self._arrivals[oldest]
            self._miss([oldest])

    def receive(self, pts: int, duration: int | None, is_broken: bool = False) -> tuple[int | None, bool]:
        """Note that a picture came.

        Args:
            pts: The picture's timestamp.
            duration: How long it is shown, if that is known.
            is_broken: True if it lacks data.

        Returns:
            When its packet arrived, if that is known, and whether a picture before it is missing.
        """
        if self._missed.pop(pts, False) is None:  # a decoder out of order: late, but there
            self.lost -= 1
        arrived_ns = self._arrivals.pop(pts, None)
        overdue = [earlier for earlier in self._arrivals if earlier < pts]
        for earlier in overdue:
            del self._arrivals[earlier]
        lost_before = self.lost
        self._miss(overdue)
        if self._last is not None:
            gap = round((pts - self._last) / self._length) - 1
            swallowed = gap - (self.lost - lost_before)
            is_loss = is_broken or (self._is_even and self._steady >= _STEADY and gap <= _FEW)
            self.lost += swallowed if is_loss and 0 < swallowed <= _REMEMBERED else 0
            is_next = abs(pts - self._last - self._length) <= max(1, _UNEVEN * self._length)
            self._steady = self._steady + 1 if is_next else 0
        self._last, self._length = pts, duration or self._step
        self._shown_until = pts + _PART_OF_A_FRAME * self._length
        return arrived_ns, self.lost > lost_before

    def finish(self) -> None:
        """Note that the decoder has returned everything."""
        self._miss(sorted(self._arrivals))
        self._arrivals.clear()

    def forget(self) -> None:
        """Start over in the middle of the stream: the packets that were under way are known to be lost."""
        self._arrivals.clear()
        self._last = self._shown_until = None
        self._steady = 0

    def _miss(self, overdue: list[int]) -> None:
        if self._shown_until is None:
            return
        missed = [pts for pts in overdue if pts >= self._shown_until]
        self.lost += len(missed)
        for pts in missed:
            self._missed[pts] = None
            if len(self._missed) > _REMEMBERED:
                del self._missed[next(iter(self._missed))]
