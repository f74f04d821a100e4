"""Times several engines in turns: in each round every one segments the same picture, so that noise hits all of them."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.artifacts import ConfidenceInterval, Percentiles
from edgeseg.machine.advise.advice_values import TimeShare
from edgeseg.machine.bench.company import cores_busy, read_times
from edgeseg.machine.bench.stability import StabilityRule, measure_until_stable
from edgeseg.proof.timing.clock import Clock
from edgeseg.proof.timing.frame_times import time_frame
from edgeseg.proof.timing.image_times import WARM_UP_IMAGES
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.latency import NS_PER_MS, percentiles_ms
from edgeseg.runtime.video.picture import Picture

BLOCK_ROUNDS = 5
"""Rounds in a row of which each engine's quickest time counts."""
WINDOW_ROUNDS = 15
LEAST_ROUNDS = 3 * BLOCK_ROUNDS
"""Rounds that are run whatever the time allows: an interval needs some blocks."""


@dataclass(frozen=True)
class Rounds:
    """The times of several engines."""

    times_ns: NDArray[np.int64]
    """int64 [rounds, engines], from frame to mask."""
    stable: bool
    other_cores: float | None

    @functools.cached_property
    def quickest_ms(self) -> NDArray[np.float64]:
        """Each engine's quickest time of every block, float64 [blocks, engines]: what disturbs only ever adds time.

        The rounds that are left over at the end join the last block.
        """
        blocks = max(1, len(self.times_ns) // BLOCK_ROUNDS)
        cuts = [index * BLOCK_ROUNDS for index in range(1, blocks)]
        return np.array([block.min(axis=0) for block in np.split(self.times_ns, cuts)]) / NS_PER_MS

    def undisturbed_ms(self, engine: int) -> float:
        """The median of an engine's quickest times."""
        return float(np.median(self.quickest_ms[:, engine]))

    def percentiles(self, engine: int) -> Percentiles:
        """The distribution of one engine's times."""
        return percentiles_ms([int(value) for value in self.times_ns[:, engine]])

    def share(self, first: int, other: int, noise: float = 0.0) -> TimeShare:
        """The time of one engine over another's.

        Args:
            first: Column of `times_ns`.
            other: Likewise.
            noise: Differences of the ratio from 1 up to this one tell nothing.
        """
        quickest = self.quickest_ms
        ratios, saved = quickest[:, first] / quickest[:, other], quickest[:, other] - quickest[:, first]
        ratio, interval = float(np.median(ratios)), median_interval(ratios)
        return TimeShare(
            ratio=ratio,
            interval=interval,
            saved_ms=float(np.median(saved)),
            saved_interval=median_interval(saved),
            outcome="within noise" if is_noise(ratio, interval, noise) else "quicker" if ratio < 1 else "slower",
        )


def is_noise(ratio: float, interval: ConfidenceInterval, noise: float) -> bool:
    """Tell whether a ratio of times is no difference: its interval includes 1, or it is as near to 1 as noise goes."""
    return interval.low <= 1 <= interval.high or abs(ratio - 1) <= noise


def reach(twin: TimeShare) -> float:
    """How far a ratio of two openings of one engine reaches from 1, its interval included."""
    return max(abs(twin.interval.low - 1), abs(twin.interval.high - 1))


def median_interval(values: NDArray[np.float64], level: float = 0.95) -> ConfidenceInterval:
    """The interval of a median between two order statistics, whatever the distribution.

    Conover, Practical Nonparametric Statistics, 1999, section 3.2. Fewer than six values give the smallest and the
    largest, which is less than 95 %.

    Args:
        values: float64 [N], at least one, independent of each other.
        level: Share of such intervals that hold the true median, at least.
    """
    ordered, below, skipped = np.sort(values), 0.0, 0
    while skipped < (len(values) - 1) // 2:
        below += math.comb(len(values), skipped) * 0.5 ** len(values)
        if below > (1 - level) / 2:
            break
        skipped += 1
    outermost = max(0, skipped - 1)
    return ConfidenceInterval(low=float(ordered[outermost]), high=float(ordered[-1 - outermost]), level=level)


def time_in_turns(engines: Sequence[Engine], pictures: Sequence[Picture], max_s: float, clock: Clock) -> Rounds:
    """Time engines from frame to mask, in rounds, until a round's level stands still or the time is over.

    Whoever comes next finds caches, clocks and other threads as the one before left them. So the order within a round
    is drawn anew, and each turn begins with a frame that does not count.

    Args:
        engines: At least one; none has a frame under way.
        pictures: At least one; they go round.
        max_s: No round is started after so many seconds, once there are `LEAST_ROUNDS`.
        clock: To measure by.

    Raises:
        EdgesegError: An engine refuses a picture, or is down for good.
    """
    generator, endless = np.random.default_rng(0), itertools.cycle(pictures)
    for picture in itertools.islice(itertools.cycle(pictures), WARM_UP_IMAGES):
        for engine in engines:
            time_frame(engine, picture, clock)
    times: list[list[int]] = []

    def one_round() -> int:
        picture, taken = next(endless), [0] * len(engines)
        for index in generator.permutation(len(engines)):
            time_frame(engines[index], picture, clock)
            taken[index] = time_frame(engines[index], picture, clock).total_ns
        times.append(taken)
        return sum(taken)

    rule = StabilityRule(window_samples=WINDOW_ROUNDS, max_s=max_s)
    before = read_times()
    measured = measure_until_stable(one_round, rule, clock)
    while len(times) < LEAST_ROUNDS:
        one_round()
    return Rounds(np.array(times, np.int64), measured.stable, cores_busy(before, read_times())[1])
