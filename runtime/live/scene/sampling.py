"""Chooses which of the frames that the engine segmented are looked at again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from edgeseg.frames import Frame, Probability
from edgeseg.runtime.engine.inputs import NetworkInput

NEIGHBOUR_S = 0.5
"""Frames further apart say nothing of flicker."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One frame that the engine segmented, at the network's size."""

    index: int
    arrived_ns: int
    """When it arrived, by `time.monotonic_ns`."""
    look: Callable[[], NetworkInput]
    """Makes `input`; called for the few frames that are looked at again, by whoever looks."""
    probability: Probability
    """float32 [C,h,w], as the engine gave it: nothing is steadied or cut out."""

    @cached_property
    def input(self) -> NetworkInput:
        """The network's input as the host makes it."""
        return self.look()

    @property
    def frame(self) -> Frame:
        """The pixels of `input`, uint8 [h,w,3] RGB."""
        return self.input.pixels


@dataclass(frozen=True, eq=False)
class Check:
    """A frame that is looked at again, and its neighbour."""

    sample: Sample
    before: Sample | None
    """None where the frame before it came too long before, or was segmented after it."""


class Sampler:
    """Takes every n-th frame out. It computes nothing, so that the engine's thread can ask it.

    Args:
        every: Segmented frames from one check to the next.
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self._count = 0
        self._before: Sample | None = None

    def take(self, sample: Sample) -> Check | None:
        """Note a segmented frame; the check that is due with it, mostly none."""
        before, self._before = self._before, sample
        self._count += 1
        if self._count % self._every:
            return None
        near = before is not None and 0 < sample.arrived_ns - before.arrived_ns <= NEIGHBOUR_S * 1e9
        return Check(sample, before if near else None)
