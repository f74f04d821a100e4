"""Chooses among engines that were weighed: which are on the front, and which one to ship."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from edgeseg.artifacts import TimeShare
from edgeseg.export.builders.int8_gain import WORTH_HAVING

T = TypeVar("T")


@dataclass(frozen=True)
class Choice(Generic[T]):
    """The engine to ship."""

    advised: T
    doubted_by: tuple[T, ...]
    """Engines that may be quicker by enough, as far as this machine's noise lets one see."""


def is_worth_having(share: TimeShare) -> bool:
    """Tell whether an engine is quicker than another by enough to pay for its rounding, and surely so."""
    return share.outcome == "quicker" and share.ratio <= WORTH_HAVING


def choose(
    engines: Sequence[T],
    share: Callable[[T, T], TimeShare],
    ms: Callable[[T], float],
    plainness: Callable[[T], int],
    noise: float,
) -> Choice[T]:
    """Choose the plainest engine that no other one beats by enough.

    Args:
        engines: Those that hold the limits, at least one.
        share: The first engine's time over the second's.
        ms: Each engine's time.
        plainness: Smaller is nearer to float32.
        noise: Differences of a ratio from 1 up to this one tell nothing.
    """
    quickest = min(engines, key=ms)
    as_quick = [one for one in engines if one is quickest or not is_worth_having(share(quickest, one))]
    advised = min(as_quick, key=plainness)
    others = [one for one in engines if one is not advised]
    doubts = [one for one in others if _may_be_quicker(share(one, advised), noise)]
    return Choice(advised, tuple(doubts))


def _may_be_quicker(share: TimeShare, noise: float) -> bool:
    """Tell whether noise may hide that an engine is quicker by enough.

    Where the noise is smaller than what counts, the ratio itself decides; else all that it may stand for.
    """
    least = share.ratio if noise <= 1 - WORTH_HAVING else min(share.interval.low, share.ratio - noise)
    return share.outcome == "within noise" and least <= WORTH_HAVING


def pareto_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Tell of each point whether it is on the front: smaller is better in both directions.

    A point is beaten by one that is at least as good in both and better in one; equal points do not beat each other.

    Args:
        points: Time and Dice drop of each engine.
    """
    front = [False] * len(points)
    least = float("inf")
    order = sorted(range(len(points)), key=lambda index: points[index])
    for position, index in enumerate(order):
        twin = position > 0 and points[order[position - 1]] == points[index]
        front[index] = front[order[position - 1]] if twin else points[index][1] < least
        least = min(least, points[index][1])
    return front
