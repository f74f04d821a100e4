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

    every: int = 50
    """Frames from one check to the next: a reference ten times as slow as the engine takes a fifth of a core."""
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
    """What the watch says now."""

    checks: int
    """In the window."""
    dice: float | None
    """Pooled over the window, 2|A and B| / (|A|+|B|); 1 where both marked nothing; None before the first check."""
    flicker: float | None
    distances: dict[str, float]
    """By name of `ImageStatistics`, in standard deviations, signed; empty without training statistics."""
    alarms: tuple[str, ...] = ()
    """``dice``, ``flicker``, or a name of `ImageStatistics`."""
    began: tuple[str, ...] = ()
    """Alarms that this check raised: one event each."""
    ended: tuple[str, ...] = ()
    """Alarms that this check took back."""

    @property
    def fall_back(self) -> bool:
        """Whether the reference's precision should take over: the engine no longer says what the reference says.

        Strange pictures alone are no reason: the reference knows them as little.
        """
        return "dice" in self.alarms

    def metrics(self) -> dict[str, float]:
        """Values for a gauge each; what is not known yet is left out."""
        values = {"drift_dice": self.dice, "drift_flicker": self.flicker}
        found = {name: value for name, value in values.items() if value is not None}
        found |= {f"drift_distance_{name}": value for name, value in self.distances.items()}
        return found | {"drift_alarms": float(len(self.alarms)), "drift_fall_back": float(self.fall_back)}


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

    def wants(self, index: int) -> bool:
        """Whether the frame of this index should go through the reference too."""
        return index % self.settings.every == 0

    def check(self, live: Mask, reference: Mask, look: ImageStatistics, flicker: float) -> DriftState:
        """Take one check in.

        Args:
            live: The engine's mask, uint8 [h,w].
            reference: The reference's mask of the same frame.
            look: Of the network's input.
            flicker: `mask_flicker` of this frame and the one before it.
        """
        marked = int(np.count_nonzero(live)) + int(np.count_nonzero(reference))
        self._overlaps.append((int(np.count_nonzero((live > 0) & (reference > 0))), marked))
        self._flickers.append(flicker)
        self._looks.append(look)
        dice, mean_flicker = self._dice(), float(np.mean(self._flickers))
        away = self._distances()
        alarms = self._judged(dice, mean_flicker, away) if len(self._looks) >= self.settings.at_least else self._alarms
        before, self._alarms = self._alarms, alarms
        return DriftState(
            len(self._looks),
            dice,
            mean_flicker,
            away,
            _sorted(alarms),
            _sorted(alarms - before),
            _sorted(before - alarms),
        )

    def _dice(self) -> float:
        shared, marked = (sum(column) for column in zip(*self._overlaps, strict=True))
        return 1.0 if marked == 0 else 2 * shared / marked

    def _distances(self) -> dict[str, float]:
        if self.training is None:
            return {}
        mean = {name: float(np.mean([getattr(look, name) for look in self._looks])) for name in STATISTICS}
        return distances(ImageStatistics(**mean), self.training)

    def _judged(self, dice: float, flicker: float, away: dict[str, float]) -> frozenset[str]:
        settings = self.settings
        badness = {"dice": (1 - dice, 1 - settings.dice_enter, 1 - settings.dice_leave)}
        badness["flicker"] = (flicker, settings.flicker_enter, settings.flicker_leave)
        for name, value in away.items():
            badness[name] = (abs(value), settings.distance_enter, settings.distance_leave)
        return frozenset(
            name
            for name, (value, enter, leave) in badness.items()
            if value > (leave if name in self._alarms else enter)
        )


def _sorted(names: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(names))
