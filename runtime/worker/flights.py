"""Knows which frame lies in which slot, and what has come of it."""

from __future__ import annotations

from collections.abc import Mapping

from edgeseg.errors import EdgesegError
from edgeseg.runtime.engine.outcomes import Loss, Lost, Outcome, Segmented
from edgeseg.runtime.worker.counts import SupervisorCounts
from edgeseg.runtime.worker.ring import FrameRing


class Flights:
    """The frames of one ring. A slot is free or under way."""

    def __init__(self, ring: FrameRing, counts: SupervisorCounts) -> None:
        self._ring = ring
        self._counts = counts
        self._free = list(range(ring.layout.slots))
        self._under_way: dict[int, int] = {}
        self._outcomes: list[Outcome] = []
        self._sequence = 0

    @property
    def has_room(self) -> bool:
        """True if another frame may be submitted."""
        return bool(self._free)

    @property
    def count(self) -> int:
        """Frames that wait for their result."""
        return len(self._under_way)

    @property
    def any_under_way(self) -> bool:
        """True if a frame waits for its result."""
        return bool(self._under_way)

    @property
    def has_outcomes(self) -> bool:
        """True if `take_outcomes` has something to give."""
        return bool(self._outcomes)

    def begin(self) -> tuple[int, int]:
        """A new frame's sequence number and slot."""
        slot = self._free.pop()
        self._sequence += 1
        self._ring.forget_result(slot)
        self._under_way[self._sequence] = slot
        self._counts.accepted += 1
        return self._sequence, slot

    def answered(self, sequence: int, infer_ns: int, stages_ns: Mapping[str, int] | None = None) -> None:
        """Read a frame's result. What is not whole, or another frame's, is a loss and never a mask."""
        slot = self._under_way.pop(sequence, None)
        if slot is None:  # nobody waits for it
            return
        probability = self._ring.read_result(slot, sequence)
        self._free.append(slot)
        if probability is None:
            self._lost(sequence, "damaged", "the result is not this frame's")
            return
        self._counts.segmented += 1
        self._outcomes.append(Segmented(sequence, probability, infer_ns / 1e6, stages_ns=stages_ns))

    def refused(self, sequence: int, error: EdgesegError) -> None:
        """Note a frame that the worker gave up alone."""
        slot = self._under_way.pop(sequence, None)
        if slot is not None:
            self._free.append(slot)
            self._lost(sequence, "refused", str(error), error)

    def lose_all(self, loss: Loss, reason: str) -> None:
        """Note that every frame under way is lost. No frame may begin until the worker is reaped: see `FrameRing`."""
        for sequence, slot in self._under_way.items():
            self._free.append(slot)
            self._lost(sequence, loss, reason)
        self._under_way.clear()

    def take_outcomes(self) -> list[Outcome]:
        """Take the outcomes since the last call."""
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def _lost(self, sequence: int, loss: Loss, reason: str, error: EdgesegError | None = None) -> None:
        self._counts.lost[loss] = self._counts.lost.get(loss, 0) + 1
        self._outcomes.append(Lost(sequence, loss, reason, error))
