"""The geometry of an advice's charts: time against Dice drop, and the harm of single convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeseg.machine.advise.advice_values import Candidate
from edgeseg.machine.advise.advice_words import KIND_NAMES
from edgeseg.precision_search import LayerHarm, PrecisionSearch
from edgeseg.proof.verdict.verdict_charts import Bar, Scale

WIDTH, HEIGHT = 840.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 828.0, 14.0, 254.0
"""The plot area inside the viewBox, as `verdict_charts` has it, twice as wide."""
LETTER_PX, LINE_PX = 6.8, 14.0
"""The room that a label takes, for each letter and in height."""
MARK_PX = 10.0
"""Half the room of an engine's mark, its ring included."""
MOST_LAYERS = 12
NAMES_PX, BAR_PX, ROW_PX, FIGURES_PX = 300.0, 320.0, 18.0, 220.0
"""Widths of the columns of the harm chart, and the height of a row."""


@dataclass(frozen=True)
class Point:
    """One engine in the chart of time against Dice drop."""

    x: float
    y: float
    name: str
    label_x: float
    label_y: float
    tooltip: str
    advised: bool
    out: bool
    """True if it does not hold the limits."""


@dataclass(frozen=True)
class ParetoChart:
    """Every engine that was timed."""

    x: Scale
    y: Scale
    points: list[Point]
    front: str
    """The points of a line over those that none other beats, ``x,y x,y``: a staircase."""
    limit: float | None
    """The height of INT8's limit; None where it would dwarf everything."""
    limit_drop: float


@dataclass(frozen=True)
class HarmRow:
    """One convolution in the chart of harm."""

    y: float
    name: str
    bar: Bar
    figures: str


@dataclass(frozen=True)
class HarmChart:
    """The convolutions that cost most where they alone run in INT8."""

    rows: list[HarmRow]
    zero: float
    """The place of a drop of nothing."""
    height: float
    others: int
    """Convolutions that were tried and are not drawn."""


def pareto_chart(candidates: Sequence[Candidate], advised: str | None) -> ParetoChart | None:
    """Undisturbed time (x) against mean Dice drop (y); None where nothing was timed."""
    timed = [
        (one, one.undisturbed_ms, one.mean_dice_drop)
        for one in candidates
        if one.undisturbed_ms is not None and one.mean_dice_drop is not None
    ]
    if not timed:
        return None
    times, drops = [ms for _, ms, _ in timed], [drop for _, _, drop in timed]
    limit = next((one.max_dice_drop for one in reversed(candidates) if one.max_dice_drop is not None), 0.0)
    highest, lowest = max(*drops, 0.0), min(*drops, 0.0)
    shows_limit = abs(limit) <= 5 * max(highest - lowest, 0.002)
    if shows_limit:
        highest, lowest = max(highest, limit), min(lowest, limit)
    margin = 0.12 * max(highest - lowest, 0.001)
    x = Scale(0.0, 1.08 * max(times), LEFT, RIGHT)
    y = Scale(lowest - margin, highest + margin, BOTTOM, TOP)
    marks = [(x(ms), y(drop)) for _, ms, drop in timed]
    labels = _label_places([_short(one) for one, _, _ in timed], marks)
    points = [
        Point(
            *mark,
            _short(one),
            *label,
            tooltip=f"{one.name}: {ms:.2f} ms, Dice drop {drop:+.4f}",
            advised=one.name == advised,
            out=one.holds is not True,
        )
        for (one, ms, drop), mark, label in zip(timed, marks, labels, strict=True)
    ]
    front = sorted(mark for (one, _, _), mark in zip(timed, marks, strict=True) if one.on_front)
    return ParetoChart(x, y, points, _staircase(front), y(limit) if shows_limit else None, limit)


def harm_chart(search: PrecisionSearch) -> HarmChart | None:
    """The Dice drop of each convolution alone, the most harmful first; None where none was tried alone."""
    shown = search.tried_alone[:MOST_LAYERS]
    if not shown:
        return None
    drops = [tried.alone.mean_dice_drop for tried in shown]
    scale = Scale(min(*drops, 0.0), max(*drops, 0.0) or 1e-6, NAMES_PX, NAMES_PX + BAR_PX)
    back = {sent.layer for sent in search.sent_back}
    rows = [_harm_row(index, tried, scale, tried.layer in back) for index, tried in enumerate(shown)]
    return HarmChart(rows, scale(0), ROW_PX * len(rows), len(search.tried_alone) - len(shown))


def _harm_row(index: int, tried: LayerHarm, scale: Scale, sent_back: bool) -> HarmRow:
    left, right = sorted((scale(0), scale(tried.alone.mean_dice_drop)))
    top = ROW_PX * index
    bar = Bar(left, top + 3, max(round(right - left, 1), 0.6), ROW_PX - 6, f"{tried.layer}: {tried.alone}", sent_back)
    alone = tried.alone
    figures = f"{alone.mean_dice_drop:+.4f}, {alone.lost_polyps} lost, {alone.flipped_share:.2%} flipped"
    return HarmRow(top, _shortened(tried.layer), bar, figures)


def _shortened(name: str) -> str:
    """A layer's name in the room that there is; its end tells more than its beginning."""
    most = int(NAMES_PX / LETTER_PX) - 2
    return name if len(name) <= most else "…" + name[-most:]


def _short(one: Candidate) -> str:
    return f"{KIND_NAMES[one.kind]}, {one.backend}"


def _staircase(front: Sequence[tuple[float, float]]) -> str:
    """The line from the quickest to the most accurate: along the time first, then down."""
    corners = list(front[:1])
    for x, y in front[1:]:
        corners += [(x, corners[-1][1]), (x, y)]
    return " ".join(f"{x},{y}" for x, y in corners)


def _label_places(names: Sequence[str], marks: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Place the labels, each by its left end, so that none covers another or a mark as far as there is room."""
    taken = [(x - MARK_PX, y - MARK_PX, x + MARK_PX, y + MARK_PX) for x, y in marks]
    places = []
    for name, (x, y) in zip(names, marks, strict=True):
        width = LETTER_PX * len(name)
        sides = (min(max(x - width / 2, LEFT), RIGHT - width), x + MARK_PX + 2, x - MARK_PX - 2 - width)
        steps = [sign * LINE_PX * (step + 0.3) for step in range(1, 7) for sign in (-1, 1)] + [0.0]
        boxes = [(left, y + step - 6, left + width, y + step + 6) for step in steps for left in sides]
        inside = [box for box in boxes if box[0] >= LEFT and box[2] <= RIGHT and box[1] >= TOP - 6 and box[3] <= BOTTOM]
        clear = [box for box in inside if not any(_overlap(box, other) for other in taken)]
        box = (clear or inside or boxes)[0]
        taken.append(box)
        places.append((round(box[0], 1), round(box[3] - 2, 1)))
    return places


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
