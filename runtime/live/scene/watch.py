"""Region, text and gate of one source together: what a frame shows, and where a mask counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2

from edgeseg.frames import Mask
from edgeseg.runtime.live.scene.figures import Window, measure_frame
from edgeseg.runtime.live.scene.gate import FrameGate, GateDecision, GateSettings
from edgeseg.runtime.live.scene.region import RegionFinder, RegionSettings, VisibleRegion
from edgeseg.runtime.live.scene.small import SmallPicture, reduce_picture
from edgeseg.runtime.live.scene.text import StaticText, TextSettings
from edgeseg.runtime.video.source import SourceFrame


def counting_mask(region: VisibleRegion, text: Mask, height: int, width: int) -> Mask:
    """Mark where a mask of this size counts: uint8 [height,width], 255 there.

    Args:
        region: The visible region.
        text: uint8 [h,w] of any size, 255 on text.
        height: Height in pixels.
        width: Width in pixels.
    """
    counted = region.mask(height, width)
    if cv2.countNonZero(text):
        scaled: Any = cv2.resize(text, (width, height), interpolation=cv2.INTER_NEAREST)
        counted[scaled > 0] = 0
    return counted


def keep_counted(mask: Mask, counted: Mask) -> Mask:
    """The mask without what does not count; uint8 [H,W] both. Doing it twice changes nothing more."""
    kept: Any = cv2.bitwise_and(mask, mask, mask=counted)
    return kept  # type: ignore[no-any-return]


@dataclass(frozen=True)
class SceneSettings:
    """The settings of everything that judges a frame."""

    region: RegionSettings = field(default_factory=RegionSettings)
    text: TextSettings = field(default_factory=TextSettings)
    gate: GateSettings = field(default_factory=GateSettings)


@dataclass(frozen=True, eq=False)
class SceneView:
    """Everything known of one frame."""

    region: VisibleRegion
    text: Mask
    """uint8 [h,320], 255 on text."""
    gate: GateDecision

    def counted(self, height: int, width: int) -> Mask:
        """Mark where a mask of this size counts: uint8, 255 there."""
        return counting_mask(self.region, self.text, height, width)


@dataclass
class SceneWatch:
    """Region, text and gate of one source, frame after frame."""

    settings: SceneSettings = field(default_factory=SceneSettings)

    def __post_init__(self) -> None:
        self._region = RegionFinder(self.settings.region)
        self._text = StaticText(self.settings.text)
        self._gate = FrameGate(self.settings.gate)
        self._previous: SmallPicture | None = None
        self._window: tuple[VisibleRegion, Mask, Window] | None = None

    def update(self, small: SmallPicture, time_s: float) -> SceneView:
        """Take one frame in and say what is known of it.

        Args:
            small: The frame, reduced.
            time_s: When it came; any clock that only grows.
        """
        if self._previous is not None and self._previous.luma.shape != small.luma.shape:
            self._gate.reset()
        region = self._region.update(small)
        text = self._text.update(small, region)
        figures = measure_frame(small, self._current_window(region, text, small), self._previous)
        self._previous = small
        return SceneView(region, text, self._gate.judge(figures, time_s))

    def _current_window(self, region: VisibleRegion, text: Mask, small: SmallPicture) -> Window:
        """Made anew only when region or text are new."""
        if self._window is None or self._window[0] is not region or self._window[1] is not text:
            visible = counting_mask(region, text, *small.luma.shape)
            self._window = (region, text, Window.of(visible, small.detail.shape))
        return self._window[2]


@dataclass
class LiveGate:
    """The watch as the presenter asks it: one reason a frame, timed by the frame's arrival."""

    watch: SceneWatch = field(default_factory=SceneWatch)
    view: SceneView | None = None
    """The view of the frame asked about last."""

    def reason(self, frame: SourceFrame) -> str | None:
        """Why the frame shows no tissue; None where it does."""
        self.view = self.watch.update(reduce_picture(frame.picture), frame.arrived_ns / 1e9)
        return self.view.gate.reason
