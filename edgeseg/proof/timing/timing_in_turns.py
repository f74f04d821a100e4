"""Times several engines in turns: in each round every one segments the same picture, so that noise hits all of them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.artifacts import ConfidenceInterval, Percentiles, TimeShare
from edgeseg.dataset import Pair
from edgeseg.proof.timing.clock import Clock
from edgeseg.proof.timing.company import cores_busy, read_times
from edgeseg.proof.timing.frame_times import time_frame
from edgeseg.proof.timing.image_times import WARM_UP_IMAGES, as_in_a_video, spread
from edgeseg.proof.timing.quantile_interval import median_interval
from edgeseg.proof.timing.stability import StabilityRule, measure_until_stable
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.latency import NS_PER_MS, percentiles_ms
from edgeseg.runtime.video.picture import Picture

BLOCK_ROUNDS = 5
"""Rounds in a row of which each engine's quickest time counts."""
WINDOW_ROUNDS = 15
LEAST_ROUNDS = 3 * BLOCK_ROUNDS
"""Rounds that are run whatever the time allows: an interval needs some blocks."""
MOST_PICTURES = 16
"""Pictures that go round while engines are timed; they are kept in memory."""


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


def pictures_of(pairs: Sequence[Pair]) -> list[Picture]:
    """Up to `MOST_PICTURES` pictures to time with, evenly from all."""
    return [as_in_a_video(pair) for pair in spread(pairs, min(len(pairs), MOST_PICTURES))]


def time_in_turns(
    engines: Sequence[Engine],
    pictures: Sequence[Picture],
    max_s: float,
    clock: Clock,
    wanted_rounds: int = LEAST_ROUNDS,
) -> Rounds:
    """Time engines from frame to mask, in rounds, until a round's level stands still or the time is over.

    Whoever comes next finds caches, clocks and other threads as the one before left them. So the order within a round
    is drawn anew, and each turn begins with a frame that does not count.

    Args:
        engines: At least one; none has a frame under way.
        pictures: At least one; they go round.
        max_s: No round is started after so many seconds, once there are `LEAST_ROUNDS`.
        clock: To measure by.
        wanted_rounds: Rounds that are run even when the level stands still, where the time allows.

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
    before, started_ns = read_times(), clock.now_ns()
    measured = measure_until_stable(one_round, rule, clock)
    while len(times) < LEAST_ROUNDS or (len(times) < wanted_rounds and clock.now_ns() - started_ns < max_s * 1e9):
        one_round()
    return Rounds(np.array(times, np.int64), measured.stable, cores_busy(before, read_times())[1])
