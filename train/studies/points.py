"""The trials of a study: a grid of choices times seeds, and in a search the rates that are tried in each cell."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgeseg.files import sha256_bytes
from edgeseg.train.studies.study_file import Search, Settings, StudyFile

Cell = tuple[str, ...]
"""The names of the choices, one for each axis."""


def words_of(axes: Sequence[str], cell: Cell) -> str:
    """A cell in words; a choice that is a number, or on or off, is named with its axis."""
    named = zip(axes, cell, strict=True)
    return ", ".join(
        f"{axis} {choice}" if choice in ("on", "off") or not choice[0].isalpha() else choice for axis, choice in named
    )


@dataclass(frozen=True)
class Point:
    """One trial: a cell of the grid, a seed, and in a search the number that is tried."""

    cell: Cell
    seed: int
    settings: Settings = field(hash=False)
    """All that differs from the study's recipe, the seed included."""
    tried: float | None = None
    """The number that the search tries; None where there is no search."""

    @property
    def key(self) -> str:
        """A name for files, unlike that of every other point of the study."""
        words = [*self.cell, *([] if self.tried is None else [f"{self.tried:.3g}"]), f"seed-{self.seed}"]
        readable = "_".join(re.sub(r"[^A-Za-z0-9.+-]+", "-", word).strip("-") for word in words)
        return f"{readable[:80]}_{sha256_bytes(repr((self.cell, self.seed, self.tried)).encode())[:6]}"

    def title(self, axes: Sequence[str]) -> str:
        """The point in words."""
        tried = "" if self.tried is None else f" at {self.tried:.3g}"
        return f"{words_of(axes, self.cell)}{tried}, seed {self.seed}"


def grid_of(study: StudyFile, full: bool) -> list[Point]:
    """Every cell with every seed; a seed's cells come before the next seed's, so that all cells are known early."""
    shared: Settings = dict(study.full.set) if full else {}
    seeds = study.full.seeds if full and study.full.seeds else study.seeds
    options = [axis.options(full) for axis in study.axes]
    points = []
    for seed, choices in itertools.product(seeds, itertools.product(*options)):
        settings = dict(shared)
        for choice in choices:
            settings |= choice.set
        cell = tuple(choice.name for choice in choices)
        points.append(Point(cell, seed, {**settings, "training.seed": seed}))
    return points


def points_of(study: StudyFile, full: bool, dice_of: Mapping[str, float]) -> list[Point]:
    """The points that are to be trained, as far as the results so far tell.

    Args:
        study: The study.
        full: Which form.
        dice_of: Key -> validation Dice of the trials that are over.
    """
    grid = grid_of(study, full)
    if study.search is None:
        return grid
    coarse = [_at(point, study.search, 10.0**decade) for point in grid for decade in study.search.decades]
    count = study.search.within if not full or study.search.full_within is None else study.search.full_within
    fine: list[Point] = []
    for point in grid:
        own = [other for other in coarse if (other.cell, other.seed) == (point.cell, point.seed)]
        if all(other.key in dice_of for other in own):
            best = max(own, key=lambda other: dice_of[other.key])
            fine += [_at(point, study.search, rate) for rate in within_decade(best.tried or 0.0, count)]
    return coarse + fine


def within_decade(middle: float, count: int) -> list[float]:
    """Numbers within half a decade of one, evenly spread over the logarithm and rounded to three digits.

    The one itself, which has been tried, is not among them.
    """
    exponents = [(step + 0.5) / count - 0.5 for step in range(count)]
    if count % 2:  # the middle one would be the number itself
        exponents = [step / count - 0.5 for step in range(count + 1) if 2 * step != count][:count]
    return [float(f"{middle * 10**exponent:.3g}") for exponent in exponents]


def _at(point: Point, search: Search, tried: float) -> Point:
    return Point(point.cell, point.seed, {**point.settings, search.key: tried}, tried)


def cells_of(points: Sequence[Point]) -> list[Cell]:
    """The cells of some points, each once, in their order."""
    return list(dict.fromkeys(point.cell for point in points))
