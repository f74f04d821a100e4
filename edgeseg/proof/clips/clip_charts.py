"""The geometry of the clips' timelines: when a lesion is in view, and when each network marks something."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edgeseg.proof.clips.clip_comparison import PairedClip
from edgeseg.proof.clips.clip_marks import ClipMarks
from edgeseg.proof.clips.clip_measures import runs_of
from edgeseg.proof.verdict.verdict_charts import Bar, Scale

WIDTH, LEFT, RIGHT = 1000.0, 84.0, 990.0
TOP, ROW_HEIGHT, BAR_HEIGHT, AXIS_HEIGHT = 6.0, 24.0, 16.0, 40.0


_Stretches = tuple[str, bool, Iterable[bool]]
"""A thing that frames show, whether it is a false mark, and the frames that show it, as flags."""


@dataclass(frozen=True)
class TimelineRow:
    """One line of a timeline."""

    label: str
    middle: float
    bars: list[Bar]


@dataclass(frozen=True)
class Timeline:
    """A clip from left to right."""

    name: str
    x: Scale
    """Seconds."""
    rows: list[TimelineRow]
    bottom: float
    height: float


def timeline(pair: PairedClip) -> Timeline:
    """Lay out one clip: the lesions in view, then the marks of reference and engine; false ones are marked."""
    frames, fps = pair.engine.frames, pair.row.fps
    x = Scale(0.0, max(len(frames) / fps, 1e-3), LEFT, RIGHT)
    lines: list[tuple[str, list[_Stretches]]] = [
        (entry.name or "lesion", [("in view", False, (frame.shown[place] for frame in frames))])
        for place, entry in enumerate(pair.clip.lesions)
    ]
    lines += [("reference", _marks(pair.reference)), ("engine", _marks(pair.engine))]
    rows = []
    for number, (label, stretches) in enumerate(lines):
        top = TOP + number * ROW_HEIGHT
        bars = [bar for what, is_false, flags in stretches for bar in _bars(x, top, fps, what, is_false, flags)]
        rows.append(TimelineRow(label, top + BAR_HEIGHT / 2, bars))
    bottom = TOP + len(rows) * ROW_HEIGHT
    return Timeline(pair.row.name, x, rows, bottom, bottom + AXIS_HEIGHT)


def _marks(marks: ClipMarks) -> list[_Stretches]:
    return [
        ("mark", False, (bool(frame.links) and not frame.false_regions for frame in marks.frames)),
        ("false mark", True, (bool(frame.false_regions) for frame in marks.frames)),
    ]


def _bars(x: Scale, top: float, fps: float, what: str, is_false: bool, flags: Iterable[bool]) -> list[Bar]:
    return [
        Bar(
            x(first / fps),
            top,
            max(0.6, round(x((last + 1) / fps) - x(first / fps), 1)),
            BAR_HEIGHT,
            f"{what}, frames {first} to {last}",
            is_false,
        )
        for first, last in runs_of(flags)
    ]
