"""Which choice mattered: the effect of each axis against the spread over seeds, and the same in words."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgeseg.train.studies.points import words_of
from edgeseg.train.studies.study_results import CellResult

MATTERS, MAY_MATTER = 2.0, 1.0
"""How many standard deviations over seeds an effect must reach."""


@dataclass(frozen=True)
class Effect:
    """How far the choices of one axis lie apart, averaged over all that the other axes have."""

    axis: str
    means: tuple[tuple[str, float], ...]
    """Choice and mean validation Dice, the best first."""
    widest: tuple[str, tuple[tuple[str, float], ...]]
    """The choices of the other axes among which this one's lie farthest apart, in words, and the means there."""

    @property
    def size(self) -> float:
        """The best choice's mean minus the worst one's."""
        return self.means[0][1] - self.means[-1][1]


def seed_sd(results: Sequence[CellResult]) -> float | None:
    """The standard deviation over seeds, pooled over the cells; None where no cell has two seeds."""
    known = [(len(result.dice) - 1, result.sd**2) for result in results if result.sd is not None]
    freedom = sum(count for count, _ in known)
    return math.sqrt(sum(count * variance for count, variance in known) / freedom) if freedom else None


def effects_of(axes: Sequence[str], results: Sequence[CellResult]) -> list[Effect]:
    """The effect of each axis with more than one choice.

    Only rows of cells in which every choice of the axis has a figure count, so that each is averaged over the same.
    """
    effects = []
    for index, axis in enumerate(axes):
        names = list(dict.fromkeys(result.cell[index] for result in results))
        if len(names) < 2:
            continue
        groups: dict[tuple[str, ...], dict[str, float]] = {}
        for result in results:
            rest = (*result.cell[:index], *result.cell[index + 1 :])
            groups.setdefault(rest, {})[result.cell[index]] = result.mean
        whole = [group for group in groups.values() if len(group) == len(names)]
        if whole:
            means = {name: statistics.fmean(group[name] for group in whole) for name in names}
            others = [*axes[:index], *axes[index + 1 :]]
            rest, group = max(
                ((rest, group) for rest, group in groups.items() if len(group) == len(names)),
                key=lambda row: max(row[1].values()) - min(row[1].values()),
            )
            effects.append(Effect(axis, _best_first(means), (words_of(others, rest), _best_first(group))))
    return effects


def verdict_of(axes: Sequence[str], results: Sequence[CellResult]) -> list[str]:
    """The verdict in sentences: which choice mattered, which did not, which cell is best."""
    sd = seed_sd(results)
    ordered = sorted(results, key=lambda result: -result.mean)
    return [*(_judged(effect, sd) for effect in effects_of(axes, results)), _best(axes, ordered, sd)]


def _judged(effect: Effect, sd: float | None) -> str:
    (best, high), (worst, low) = effect.means[0], effect.means[-1]
    figures = f"{best} {high:.4f}, {worst} {low:.4f}"
    if sd is None:
        return f"{effect.axis}: {figures}; whether that matters, one seed does not tell."
    ratio = effect.size / sd if sd else math.inf if effect.size else 0.0
    against = f"{figures}: {effect.size:.4f} apart, {ratio:.1f} times the sd over seeds ({sd:.4f})"
    if ratio >= MATTERS:
        return f"{effect.axis} mattered: {against}."
    if ratio >= MAY_MATTER:
        return f"{effect.axis} may matter: {against}; more seeds would tell.{_where_it_did(effect, sd)}"
    return f"{effect.axis} did not matter on the whole: {against}.{_where_it_did(effect, sd)}"


def _where_it_did(effect: Effect, sd: float) -> str:
    """A further sentence where an axis matters beside some choice of the others, which a mean over them hides."""
    rest, means = effect.widest
    (best, high), (worst, low) = means[0], means[-1]
    if not rest or high - low < MATTERS * sd:
        return ""
    return f" With {rest} it did: {best} {high:.4f}, {worst} {low:.4f}."


def _best_first(means: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(means.items(), key=lambda mean: -mean[1]))


def _best(axes: Sequence[str], ordered: Sequence[CellResult], sd: float | None) -> str:
    first = ordered[0]
    words = f"Best: {words_of(axes, first.cell)} with {first.words} over {len(first.dice)} seeds"
    if len(ordered) == 1 or sd is None:
        return f"{words}."
    alike = [result for result in ordered[1:] if first.mean - result.mean < MATTERS * sd]
    if not alike:
        return f"{words}, apart from all others."
    return f"{words}; {len(alike)} of the {len(ordered) - 1} others lie within {MATTERS:g} sd of it."
