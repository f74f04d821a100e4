"""Tests of what the presenter shows, with a gate and a drawing that take their time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from edgeseg.runtime.live.live_values import LiveMask
from edgeseg.runtime.live.masks import MaskBoard
from edgeseg.runtime.live.meters import RollingPercentiles
from edgeseg.runtime.live.presenter import Presenter, PresenterOptions
from edgeseg.runtime.live.slot import NewestSlot
from edgeseg.runtime.live.states import StateChange
from edgeseg.runtime.video.overlay import OverlayMode
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import SourceFrame
from tests.runtime.live.conftest import RememberingSink

PICTURE = Picture.of_bgr(np.zeros((8, 8, 3), np.uint8))
LIMIT_MS = 200.0


class Hitch:
    """Takes the presenter's time once."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.drawn: list[tuple[LiveMask | None, tuple[str, ...]]] = []

    def _hold(self, where: str) -> None:
        if self.where == where:
            self.where = ""
            time.sleep(2 * LIMIT_MS / 1e3)

    def reason(self, frame: SourceFrame) -> str | None:
        self._hold("gate")
        return None

    def draw(self, picture: Picture, mask: LiveMask | None, lines: Sequence[str], mode: OverlayMode) -> Picture:
        self._hold("drawing")
        self.drawn.append((mask, tuple(lines)))
        return picture


@pytest.mark.parametrize("where", ["gate", "drawing"])
def test_a_mask_that_grows_too_old_while_its_picture_is_made_is_not_shown(where: str) -> None:
    board, slot, sink, hitch = MaskBoard(), NewestSlot[SourceFrame](), RememberingSink(), Hitch(where)
    options = PresenterOptions(mask_limit_ms=LIMIT_MS)
    state = StateChange("live", "", 0)
    presenter = Presenter(slot, board, RollingPercentiles(), lambda: state, hitch.draw, [sink], options, hitch)
    now_ns = time.monotonic_ns()
    board.pin(LiveMask(0, now_ns, np.zeros((8, 8), np.uint8), 0.0, 0.0, 1.0))
    slot.put(SourceFrame(0, now_ns, now_ns, 0, Fraction(1, 25), PICTURE))
    slot.close()
    presenter.start()
    presenter.join(30.0)
    assert len(sink.presented) == 1
    assert sink.presented[0].mask is None
    mask, lines = hitch.drawn[-1]
    assert mask is None
    assert "NO OVERLAY" in lines
