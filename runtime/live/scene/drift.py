"""Drift watch: does the engine still say what the reference says, of pictures like those it was trained on?"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from edgeseg.frames import Mask
from edgeseg.runtime.live.scene.statistics import STATISTICS, ImageStatistics, TrainingStatistics, distances


@dataclass(frozen=True)
class DriftSettings:
    """When drift is called. A check is a frame that the reference saw too."""

    window: int = 30
    """Checks that a judgement rests on: 60 s at 25 Hz."""
    at_least: int = 10
    """Checks before the first judgement."""
    dice_enter: float = 0.85
    """Pooled Dice between engine and reference. INT8 against float32 on the Kvasir-SEG test split keeps far above."""
    dice_leave: float = 0.90
    distance_enter: float = 3.0
    """Standard deviations of the training pictures between their mean and that of the window."""
    distance_leave: float = 2.0
    flicker_enter: float = 0.5
    """Mean of `mask_flicker` over the window: neighbouring masks share half of their pixels."""
    flicker_leave: float = 0.35


@dataclass(frozen=True)
class DriftState:
    """The watch's findings at one moment."""

    checks: int
    """Number of checks in the window."""
    dice: float | None
    """Pooled over the window, 2|A and B| / (|A|+|B|), where of several classes only the same one counts as shared;
    1 where both marked nothing; None before the reference first spoke."""
    flicker: float | None
    """None before two neighbours were seen."""
    distances: dict[str, float]
    """Distances by name of `ImageStatistics`, in standard deviations, signed; empty without training statistics."""
    alarms: tuple[str, ...] = ()
    """``dice``, ``flicker``, or a name of `ImageStatistics`."""
    began: tuple[str, ...] = ()
    """Alarms that this check raised: one event each."""
    ended: tuple[str, ...] = ()
    """Alarms that this check took back."""

    @property
    def fall_back(self) -> bool:
        """True if the reference's precision should take over: the engine no longer says what the reference says.

        Strange pictures alone are no reason: the reference knows them as little.
        """
        return "dice" in self.alarms

    def describe(self, alarm: str) -> str:
        """An alarm with its figure, for a person."""
        if alarm == "dice":
            return f"Dice of {self.dice or 0:.2f} to the reference"
        if alarm == "flicker":
            return f"masks flicker, {self.flicker or 0:.2f}"
        return f"{alarm} {self.distances.get(alarm, 0):+.1f} deviations from the training pictures"


@dataclass
class DriftWatch:
    """Takes checks in and keeps alarms, each with a limit to begin and a laxer one to end."""

    training: TrainingStatistics | None = None
    settings: DriftSettings = field(default_factory=DriftSettings)

    def __post_init__(self) -> None:
        window = self.settings.window
        self._overlaps: deque[tuple[int, int]] = deque(maxlen=window)
        self._flickers: deque[float] = deque(maxlen=window)
        self._looks: deque[ImageStatistics] = deque(maxlen=window)
        self._alarms: frozenset[str] = frozenset()

    def forget_masks(self, state: DriftState) -> DriftState:
        """Begin anew with another engine; the pictures are what they were.

        Args:
            state: The last one.
        """
        self._overlaps.clear()
        self._flickers.clear()
        self._alarms -= {"dice", "flicker"}
        return DriftState(state.checks, None, None, state.distances, _sorted(self._alarms))

    def check(self, live: Mask, reference: Mask | None, look: ImageStatistics, flicker: float | None) -> DriftState:
        """Take one check in.

        Args:
            live: The engine's mask, uint8 [h,w]; 0 is background.
            reference: The reference's mask of the same frame; None where it has nothing to say.
            look: The look of the network's input.
            flicker: `mask_flicker` of this frame and the one before it; None where there is none.
        """
        if reference is not None:
            marked = int(np.count_nonzero(live)) + int(np.count_nonzero(reference))
            self._overlaps.append((int(np.count_nonzero((live > 0) & (live == reference))), marked))
        if flicker is not None:
            self._flickers.append(flicker)
        self._looks.append(look)
        away = self._distances()
        before, self._alarms = self._alarms, self._judged(away)
        return DriftState(
            len(self._looks),
            self._dice(),
            self._flicker(),
            away,
            _sorted(self._alarms),
            _sorted(self._alarms - before),
            _sorted(before - self._alarms),
        )

    def _dice(self) -> float | None:
        if not self._overlaps:
            return None
        shared, marked = (sum(column) for column in zip(*self._overlaps, strict=True))
        return 1.0 if marked == 0 else 2 * shared / marked

    def _flicker(self) -> float | None:
        return float(np.mean(self._flickers)) if self._flickers else None

    def _distances(self) -> dict[str, float]:
        if self.training is None:
            return {}
        mean = {name: float(np.mean([getattr(look, name) for look in self._looks])) for name in STATISTICS}
        return distances(ImageStatistics(**mean), self.training)

    def _judged(self, away: dict[str, float]) -> frozenset[str]:
        """The alarms; what was measured too seldom stays as it was."""
        settings, dice, flicker = self.settings, self._dice(), self._flicker()
        badness: dict[str, tuple[float, float, float]] = {}
        if dice is not None and len(self._overlaps) >= settings.at_least:
            badness["dice"] = (1 - dice, 1 - settings.dice_enter, 1 - settings.dice_leave)
        if flicker is not None and len(self._flickers) >= settings.at_least:
            badness["flicker"] = (flicker, settings.flicker_enter, settings.flicker_leave)
        if len(self._looks) >= settings.at_least:
            for name, value in away.items():
                badness[name] = (abs(value), settings.distance_enter, settings.distance_leave)
        bad = {
            name
            for name, (value, enter, leave) in badness.items()
            if value > (leave if name in self._alarms else enter)
        }
        return frozenset(bad | (self._alarms - set(badness)))


def _sorted(names: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(names))
