"""The geometry of the history's charts: one column a version, whiskers for intervals, breaks where nothing compares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from edgeseg.artifacts import ConfidenceInterval
from edgeseg.proof.history.verdict_history import VersionRow
from edgeseg.proof.verdict.verdict_charts import BOTTOM, LEFT, RIGHT, TOP, Scale

MOST_LABELS = 16
"""Numbers of versions below the axis; with more versions every second, third... is written."""
LIMIT_WIDTH = 0.7
"""Width of a limit's dash, as a share of a version's column."""


@dataclass(frozen=True)
class Point:
    """One version's figure, with its interval where it has one."""

    x: float
    y: float
    low: float | None
    high: float | None
    label: str


@dataclass(frozen=True)
class Dash:
    """A version's limit."""

    left: float
    right: float
    y: float
    label: str


@dataclass(frozen=True)
class VersionChart:
    """A figure over the versions."""

    y: Scale
    columns: list[tuple[float, str]]
    """Coordinates and numbers of the versions."""
    points: list[Point]
    reference: list[Point]
    limits: list[Dash]
    paths: list[str]
    """The `points` of polylines; each joins versions that can be compared."""


def dice_chart(rows: Sequence[VersionRow]) -> VersionChart | None:
    """The mean Dice of engine and reference; None without images, as are the next two."""
    return _chart(
        rows,
        lambda row: row.mean_dice,
        lambda row: row.data_sha256,
        interval_of=lambda row: row.dice_interval,
        reference_of=lambda row: row.reference_mean_dice,
        places=4,
    )


def drop_history_chart(rows: Sequence[VersionRow]) -> VersionChart | None:
    """The mean Dice drop under its limit."""
    return _chart(
        rows,
        lambda row: row.mean_dice_drop,
        lambda row: row.data_sha256,
        interval_of=lambda row: row.drop_interval,
        limit_of=lambda row: row.max_dice_drop,
        places=4,
    )


def time_chart(rows: Sequence[VersionRow]) -> VersionChart | None:
    """The 99th percentile of one image's time under its limit."""
    return _chart(rows, lambda row: row.p99_ms, lambda row: row.machine, limit_of=lambda row: row.max_p99_ms, places=2)


def _nothing(row: VersionRow) -> None:
    return None


def _chart(
    rows: Sequence[VersionRow],
    value_of: Callable[[VersionRow], float | None],
    ground_of: Callable[[VersionRow], str | None],
    *,
    interval_of: Callable[[VersionRow], ConfidenceInterval | None] = _nothing,
    reference_of: Callable[[VersionRow], float | None] = _nothing,
    limit_of: Callable[[VersionRow], float | None] = _nothing,
    places: int,
) -> VersionChart | None:
    """Lay out a figure; versions of another `ground_of` (images, machine) than their neighbour are not joined."""
    shown = [(index, row, value) for index, row in enumerate(rows) if (value := value_of(row)) is not None]
    if not shown:
        return None
    intervals = [interval for _, row, _ in shown if (interval := interval_of(row)) is not None]
    further = [found for _, row, _ in shown for found in (reference_of(row), limit_of(row)) if found is not None]
    ends = [end for interval in intervals for end in (interval.low, interval.high)]
    values = [value for _, _, value in shown] + further + ends
    margin = 0.08 * (max(values) - min(values)) or 0.01 * max(abs(values[0]), 0.1)
    x, y = Scale(0, len(rows), LEFT, RIGHT), Scale(min(values) - margin, max(values) + margin, BOTTOM, TOP)

    def point(index: int, row: VersionRow, value: float, interval: ConfidenceInterval | None, who: str) -> Point:
        low, high = (None, None) if interval is None else (y(interval.low), y(interval.high))
        words = "" if interval is None else f" ({interval.low:.{places}f} to {interval.high:.{places}f})"
        return Point(x(index + 0.5), y(value), low, high, f"{row.name}{who}: {value:.{places}f}{words}")

    def dash(index: int, row: VersionRow, limit: float) -> Dash:
        middle, half = index + 0.5, LIMIT_WIDTH / 2
        return Dash(x(middle - half), x(middle + half), y(limit), f"{row.name}, limit: {limit:g}")

    step = -(-len(rows) // MOST_LABELS)
    return VersionChart(
        y,
        [(x(index + 0.5), str(index + 1)) for index in range(0, len(rows), step)],
        [point(index, row, value, interval_of(row), "") for index, row, value in shown],
        [
            point(index, row, found, None, ", reference")
            for index, row, _ in shown
            if (found := reference_of(row)) is not None
        ],
        [dash(index, row, limit) for index, row, _ in shown if (limit := limit_of(row)) is not None],
        [
            " ".join(f"{x(index + 0.5)},{y(value)}" for index, _, value in group)
            for _, group in groupby(shown, key=lambda each: ground_of(each[1]))
        ],
    )
