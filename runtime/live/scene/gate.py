"""Which frames show no tissue that a mask could be trusted on, and why; with memory, so that it does not flutter."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from edgeseg.runtime.live.scene.figures import FrameFigures

GateReason = Literal["black", "out of the body", "frozen", "washed out", "blurred"]


@dataclass(frozen=True)
class Limits:
    """A figure at which a reason begins and a laxer one at which it ends, each to hold for a while."""

    enter: float
    leave: float
    enter_frames: int
    """Frames in a row before the reason is given."""
    leave_frames: int
    """Frames in a row before it is taken back."""


@dataclass(frozen=True)
class GateSettings:
    """When a frame is gated. Shares are of the visible region, levels of full-range luma."""

    black: Limits = field(default=Limits(enter=10, leave=16, enter_frames=2, leave_frames=2))
    """Mean luma. A lumen without light still has sensor noise and a lit rim: mean 60 and more on real clips."""
    red_share: Limits = field(default=Limits(enter=0.25, leave=0.4, enter_frames=3, leave_frames=12))
    """Share of the lit pixels whose red leads. Tissue lies near 1 (real clips: 0.67 and more); walls, drapes and
    screens lie below. A picture full of bare skin is as red as tissue and is not told from it. The gate is left slowly,
    because what leaves too early may be recorded."""
    min_lit_share: float = 0.05
    """Lit share below which colour decides nothing."""
    frozen_change: float = 0.02
    """Mean grey levels to the frame before. A repeated picture gives 0; real clips gave 0.75 and more."""
    frozen_after_s: float = 0.6
    """A 25 Hz grabber on a slow link repeats a picture for a tenth of that; breathing moves any living scene sooner."""
    washed_out: Limits = field(default=Limits(enter=0.5, leave=0.4, enter_frames=2, leave_frames=3))
    """Share of burnt-out pixels: mostly white. Below half, the rest of the picture can still show a polyp."""
    mist_contrast: float = 14
    """Steam and lens fog: bright, colourless and flat. Even a lens at the wall gave a standard
    deviation of 21 and more."""
    mist_brightness: float = 140
    mist_red_share: float = 0.5
    """Pale red-out of a lens at the wall is not mist."""
    blurred: Limits = field(default=Limits(enter=0.45, leave=0.52, enter_frames=2, leave_frames=2))
    """Sharpness over what the scope usually gives. On the first halves of two clips every frame below 0.45 was a lens
    at the wall or motion blur; polyps were in view from 0.58 up."""
    usual_quantile: float = 0.75
    """Quantile of the remembered sharpness: what the scope gives when it sees well, not a single glitter of bubbles."""
    usual_every: int = 5
    """Frames from one remembered sharpness to the next; neighbours say the same."""
    usual_every_blurred: int = 25
    """The same while frames are blurred: a long red-out must not become what is usual; a softer scope of the same size
    does, after some minutes."""
    usual_samples: int = 300
    """60 s at 25 Hz: longer than any red-out, shorter than a change of scope matters."""
    usual_at_least: int = 3
    """Samples (half a second) before the first opinion on blur."""


@dataclass(frozen=True)
class GateDecision:
    """The gate's decision on one frame."""

    reason: GateReason | None
    """Why the frame is gated; None where it is not."""
    figures: FrameFigures
    relative_sharpness: float
    """Sharpness over the usual one; NaN where either is not known."""
    repeated_s: float
    """How long the source has been giving this very picture."""


@dataclass
class Latch:
    """One reason with hysteresis: on after some frames of wish, off after some without."""

    enter_frames: int
    leave_frames: int
    on: bool = False
    _run: int = 0

    def update(self, enters: bool, leaves: bool) -> bool:
        """Count one frame. `enters` and `leaves` exclude each other; between the two limits nothing is counted."""
        wish = leaves if self.on else enters
        self._run = self._run + 1 if wish else 0
        if self._run >= (self.leave_frames if self.on else self.enter_frames):
            self.on, self._run = not self.on, 0
        return self.on


@dataclass
class FrameGate:
    """Judges frame after frame of one source.

    Where several reasons hold, the first in this order is given: black, out of the body (what must not be recorded),
    frozen, washed out, blurred.
    """

    settings: GateSettings = field(default_factory=GateSettings)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything: after a change of scope or size."""
        settings = self.settings
        latch: Callable[[Limits], Latch] = lambda limits: Latch(limits.enter_frames, limits.leave_frames)  # noqa: E731
        self._black, self._outside = latch(settings.black), latch(settings.red_share)
        self._washed, self._blurred = latch(settings.washed_out), latch(settings.blurred)
        self._sharpness: deque[float] = deque(maxlen=settings.usual_samples)
        self._usual = math.nan
        self._count = 0
        self._same_since_s: float | None = None

    def judge(self, figures: FrameFigures, time_s: float) -> GateDecision:
        """Say whether a frame is gated.

        Args:
            figures: What `measure_frame` gave.
            time_s: When the frame came; any clock that only grows.
        """
        repeated_s = self._repeated_s(figures, time_s)
        black = self._is_black(figures)
        outside = self._is_outside(figures)
        washed = self._is_washed_out(figures)
        self._remember(figures, usable=not (black or outside or washed))
        relative = figures.sharpness / self._usual if self._usual > 0 else math.nan
        blurred = self._is_blurred(relative)
        frozen = repeated_s >= self.settings.frozen_after_s
        reasons: tuple[tuple[bool, GateReason], ...] = (
            (black, "black"),
            (outside, "out of the body"),
            (frozen, "frozen"),
            (washed, "washed out"),
            (blurred, "blurred"),
        )
        reason = next((name for holds, name in reasons if holds), None)
        return GateDecision(reason, figures, relative, repeated_s)

    def _repeated_s(self, figures: FrameFigures, time_s: float) -> float:
        if figures.change > self.settings.frozen_change or self._same_since_s is None:
            self._same_since_s = time_s
        return time_s - self._same_since_s

    def _is_black(self, figures: FrameFigures) -> bool:
        limits = self.settings.black
        return self._black.update(figures.brightness <= limits.enter, figures.brightness > limits.leave)

    def _is_outside(self, figures: FrameFigures) -> bool:
        limits = self.settings.red_share
        if figures.lit_share < self.settings.min_lit_share or self._is_mist(figures):
            return self._outside.on
        return self._outside.update(figures.red_share <= limits.enter, figures.red_share > limits.leave)

    def _is_washed_out(self, figures: FrameFigures) -> bool:
        limits, mist = self.settings.washed_out, self._is_mist(figures)
        return self._washed.update(
            mist or figures.bright_share >= limits.enter, not mist and figures.bright_share < limits.leave
        )

    def _is_mist(self, figures: FrameFigures) -> bool:
        settings = self.settings
        return (
            figures.contrast <= settings.mist_contrast
            and figures.brightness >= settings.mist_brightness
            and figures.red_share < settings.mist_red_share
        )

    def _remember(self, figures: FrameFigures, usable: bool) -> None:
        """Keep the sharpness of some of the frames that show something."""
        if not usable or math.isnan(figures.sharpness):
            return
        every = self.settings.usual_every_blurred if self._blurred.on else self.settings.usual_every
        if self._count % every == 0:
            self._sharpness.append(figures.sharpness)
            if len(self._sharpness) >= self.settings.usual_at_least:
                self._usual = float(np.quantile(np.fromiter(self._sharpness, float), self.settings.usual_quantile))
        self._count += 1

    def _is_blurred(self, relative: float) -> bool:
        limits = self.settings.blurred
        if math.isnan(relative):
            return self._blurred.on
        return self._blurred.update(relative < limits.enter, relative >= limits.leave)
