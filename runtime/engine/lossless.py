"""Every frame gets its own probability map, in order: one lost with a worker is handed to the next."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from edgeseg.errors import EdgesegError
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.failures import TransientError
from edgeseg.runtime.engine.inputs import EngineInput
from edgeseg.runtime.engine.outcomes import Lost, Segmented

T = TypeVar("T")
ATTEMPTS = 3
"""A frame that was lost this often is taken for the cause."""
POLL_S = 1.0
READY_S = 600.0
"""The time allowed for a restart; the engine's own deadlines are shorter, so this only bounds the loop."""


@dataclass(eq=False)
class _Flight(Generic[T]):
    item: T
    frame: EngineInput
    sequence: int | None = None
    """The engine's number of it; None while it waits to be handed over, for the first time or again."""
    losses: int = 0
    outcome: Segmented | None = None


class LosslessFrames(Generic[T]):
    """Takes frames through an engine, several at once, and loses none.

    Args:
        engine: The engine, which stays the caller's to close.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._flights: deque[_Flight[T]] = deque()
        self.retries = 0
        """The number of frames that were handed over again."""

    def __len__(self) -> int:
        return len(self._flights)

    @property
    def is_full(self) -> bool:
        """True if a result must be taken before the next frame."""
        return len(self._flights) >= self._engine.capacity

    def add(self, item: T, frame: EngineInput) -> None:
        """Hand a frame over; `take` gives `item` back with its result.

        Raises:
            BadInputError: No engine of this network can take it.
        """
        self._flights.append(_Flight(item, frame))
        self._hand_over()

    def take(self) -> tuple[T, Segmented]:
        """Wait for the oldest frame and take its result.

        Raises:
            EdgesegError: The engine is down for good, or loses this frame again and again.
        """
        oldest = self._flights[0]
        while oldest.outcome is None:
            self._step()
        self._flights.popleft()
        return oldest.item, oldest.outcome

    def _step(self) -> None:
        self._hand_over()
        under_way = {flight.sequence: flight for flight in self._flights if flight.outcome is None}
        if all(sequence is None for sequence in under_way):
            self._engine.wait_ready(READY_S)
        for outcome in self._engine.poll(POLL_S):
            flight = under_way.get(outcome.sequence)
            if flight is None:  # an earlier caller's
                continue
            if isinstance(outcome, Segmented):
                flight.outcome = outcome
            else:
                self._lose(flight, outcome)

    def _hand_over(self) -> None:
        """Hand over frames that wait, oldest first, until the engine takes no more."""
        for flight in self._flights:
            if flight.sequence is None:
                flight.sequence = self._engine.submit(flight.frame)
                if flight.sequence is None:
                    return

    def _lose(self, flight: _Flight[T], lost: Lost) -> None:
        if lost.error is not None and not isinstance(lost.error, TransientError):
            raise lost.error
        flight.sequence = None
        flight.losses += 1
        self.retries += 1
        if flight.losses >= ATTEMPTS:
            raise lost.error or FrameLostError(
                f"the engine was lost {ATTEMPTS} times on the same frame",
                found=lost.reason or f"the engine's process: {lost.loss}",
                expected="an engine that survives every frame",
                next_command="edgeseg doctor",
            )


class FrameLostError(EdgesegError):
    """A frame ends every engine that it is given to."""

    exit_code = 4
