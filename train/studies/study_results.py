"""The figures of a study: every cell of the grid over its seeds, and the learning curves behind it."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgeseg.train.studies.ledger import Outcome
from edgeseg.train.studies.points import Cell, Point, cells_of


@dataclass(frozen=True)
class Trial:
    """A trial that is over."""

    point: Point
    outcome: Outcome


@dataclass(frozen=True)
class CellResult:
    """One cell over its seeds: of a search, the best number of each seed."""

    cell: Cell
    dice: tuple[float, ...]
    """Validation Dice of each seed whose trial was trained to its end or diverged."""
    given_up: int
    """Seeds whose trial was given up."""
    diverged: int
    best: Trial
    """The trial of the highest Dice."""
    seconds: float
    """Time of all its trials."""

    @property
    def mean(self) -> float:
        """Mean over the seeds; that of the best trial where all were given up."""
        return statistics.fmean(self.dice) if self.dice else self.best.outcome.dice

    @property
    def sd(self) -> float | None:
        """Sample standard deviation over the seeds; None below two of them."""
        return statistics.stdev(self.dice) if len(self.dice) > 1 else None

    @property
    def words(self) -> str:
        """Mean and sd as a person writes them."""
        sd = "" if self.sd is None else f" ± {self.sd:.4f}"
        return f"{self.mean:.4f}{sd}"


def trials_of(points: Sequence[Point], outcomes: Mapping[str, Outcome]) -> list[Trial]:
    """The trials that are over.

    Args:
        points: The study's points.
        outcomes: Key -> what became of it.
    """
    return [Trial(point, outcomes[point.key]) for point in points if point.key in outcomes]


def cell_results(trials: Sequence[Trial]) -> list[CellResult]:
    """Every cell, in the grid's order."""
    return [_cell(cell, trials) for cell in cells_of([trial.point for trial in trials])]


def _cell(cell: Cell, trials: Sequence[Trial]) -> CellResult:
    own = [trial for trial in trials if trial.point.cell == cell]
    of_seed: dict[int, Trial] = {}
    for trial in own:
        former = of_seed.setdefault(trial.point.seed, trial)
        if trial.outcome.dice > former.outcome.dice:
            of_seed[trial.point.seed] = trial
    best = list(of_seed.values())
    return CellResult(
        cell,
        tuple(trial.outcome.dice for trial in best if trial.outcome.ending != "pruned"),
        sum(trial.outcome.ending == "pruned" for trial in best),
        sum(trial.outcome.ending == "diverged" for trial in best),
        max(own, key=lambda trial: trial.outcome.dice),
        sum(trial.outcome.seconds for trial in own),
    )


def columns_and_rows(axes: Sequence[str], results: Sequence[CellResult]) -> tuple[list[str], list[list[str]]]:
    """The table of a study, the best cell first.

    Args:
        axes: Names of the axes.
        results: Every cell.
    """
    searched = any(result.best.point.tried is not None for result in results)
    columns = [*axes, "validation Dice", "sd", "seeds", *(["best value"] if searched else []), "best epoch", "notes"]
    rows = []
    for result in sorted(results, key=lambda one: -one.mean):
        tried = result.best.point.tried
        notes = [f"{result.given_up} given up"] if result.given_up else []
        notes += [f"{result.diverged} diverged"] if result.diverged else []
        rows.append(
            [
                *result.cell,
                f"{result.mean:.4f}",
                "" if result.sd is None else f"{result.sd:.4f}",
                str(len(result.dice)),
                *([f"{tried:.3g}" if tried is not None else ""] if searched else []),
                str(result.best.outcome.best_epoch),
                ", ".join(notes),
            ]
        )
    return columns, rows


def as_csv(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table as CSV."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return stream.getvalue()


def as_markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table as Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def trials_as_csv(axes: Sequence[str], trials: Sequence[Trial]) -> str:
    """Every trial as CSV."""
    columns = [*axes, "seed", "value", "ending", "validation Dice", "best epoch", "epochs", "seconds"]
    rows = [
        [
            *trial.point.cell,
            str(trial.point.seed),
            "" if trial.point.tried is None else f"{trial.point.tried:.3g}",
            trial.outcome.ending,
            f"{trial.outcome.dice:.4f}",
            str(trial.outcome.best_epoch),
            str(trial.outcome.epochs),
            f"{trial.outcome.seconds:.1f}",
        ]
        for trial in trials
    ]
    return as_csv(columns, rows)
