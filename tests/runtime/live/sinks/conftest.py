from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from edgeseg.runtime.live.live_values import LiveMask, Presented
from edgeseg.runtime.video.overlay import draw
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import ClipTiming, SourceFrame

RATE = 25


class Showing:
    """Makes frames as a live pipeline presents them: numbered bars, and a square mask where an area is given."""

    timing = ClipTiming(Fraction(1, 1000), Fraction(RATE), states_matrix=True)

    def __init__(self) -> None:
        self.started_ns = time.monotonic_ns()

    def __call__(
        self,
        index: int,
        height: int = 64,
        width: int = 128,
        area: float | None = None,
        recordable: bool = True,
        mask_index: int | None = None,
    ) -> Presented:
        arrived_ns = self.started_ns + index * 1_000_000_000 // RATE
        picture = self.numbered(index, height, width)
        frame = SourceFrame(index, arrived_ns, arrived_ns, 5000 + index * 40, Fraction(1, 1000), picture)
        mask = None
        if area is not None:
            pixels = np.zeros((height, width), np.uint8)
            pixels[: round(height * area), :] = 255
            of = index if mask_index is None else mask_index
            mask = LiveMask(of, self.started_ns + of * 1_000_000_000 // RATE, pixels, area, 0.9, 3.0)
        overlay = picture if mask is None else draw(picture, mask.mask, ())
        return Presented(frame, arrived_ns, overlay, mask, "live", "", recordable=recordable)

    @staticmethod
    def numbered(number: int, height: int, width: int) -> Picture:
        """8 bars, white for 1, as planes in BT.709."""
        luma = np.full((height, width), 16, np.uint8)
        for bit in range(8):
            if number >> bit & 1:
                luma[:, bit * width // 8 : (bit + 1) * width // 8] = 235
        return Picture.of_i420(height, width, np.vstack([luma, np.full((height // 2, width), 128, np.uint8)]), "bt709")


@pytest.fixture
def showing() -> Showing:
    return Showing()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits for something that another thread does; fails after 20 s."""

    def wait(condition: Callable[[], bool]) -> None:
        end_s = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end_s, "waited in vain"
            time.sleep(0.005)

    return wait
