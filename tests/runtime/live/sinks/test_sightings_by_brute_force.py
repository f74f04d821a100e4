from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.live.sinks.marked_boxes import SIDE, Box, area, frame, in_pixels, told


@dataclass(frozen=True)
class Told:
    """An event as the oracle gives it."""

    kind: str
    at: int
    first_frame: int
    last_ms: int
    largest: Box | None


def brute_force(times_ms: Sequence[int], boxes: Sequence[Box | None]) -> list[Told]:
    """The events of one region by looking at all its frames at once."""
    marked = [(index, box) for index, box in enumerate(boxes) if box is not None and area(box) >= 0.001 * SIDE**2]
    events = []
    while marked:
        first = times_ms[marked[0][0]]
        certain = [index for index, _ in marked if times_ms[index] - first >= 300]
        count = 1
        while count < len(marked):
            last = times_ms[marked[count - 1][0]]
            patience = 1000 if last - first >= 300 else 300
            if times_ms[marked[count][0]] - last > patience:
                break
            count += 1
        part, marked = marked[:count], marked[count:]
        last = times_ms[part[-1][0]]
        if last - first < 300:
            continue
        until = next((index for index, now in enumerate(times_ms) if now - last > 1000), -1)
        largest = max((box for _, box in part), key=area)
        events.append(Told("appeared", certain[0], part[0][0], times_ms[certain[0]], None))
        events.append(Told("left", until, part[0][0], last, largest))
    return events


@st.composite
def wanderers(draw: st.DrawFn) -> tuple[list[int], list[list[Box | None]]]:
    """Times of frames, and up to four regions that move, grow and shrink, each in its own quarter; they go and come."""
    count = draw(st.integers(1, 40))
    pauses_ms = st.one_of(st.integers(1, 60), st.sampled_from([100, 300, 301, 999, 1000, 1001, 1500]))
    times_ms = np.cumsum(draw(st.lists(pauses_ms, min_size=count, max_size=count))).tolist()
    steps = st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.sampled_from([0, 0, 2, 3, 4, 7, 8]))
    regions = []
    for quarter in draw(st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True)):
        left, top = 12 + 32 * (quarter % 2), 12 + 32 * (quarter // 2)
        nearest_left, nearest_top = left - 8, top - 8
        boxes: list[Box | None] = []
        for right, down, size in draw(st.lists(steps, min_size=count, max_size=count)):
            if size > 2:  # else away, or too small to count
                left = min(max(left + right, nearest_left), nearest_left + 16)
                top = min(max(top + down, nearest_top), nearest_top + 16)
            boxes.append((left, top, left + size, top + size) if size else None)
        regions.append(boxes)
    return times_ms, regions


@settings(max_examples=150, deadline=None)
@given(wanderers())
def test_each_region_that_moves_alone_has_the_events_that_brute_force_finds(
    scene: tuple[list[int], list[list[Box | None]]],
) -> None:
    times_ms, regions = scene
    expected = [event for boxes in regions for event in brute_force(times_ms, boxes)]
    shown = [[box for box in boxes if box is not None] for boxes in zip(*regions, strict=True)]
    events = told(frame(index, boxes, times_ms[index]) for index, boxes in enumerate(shown))
    ours = [
        Told(kind, at, seen.first_frame, seen.last_ns // 1_000_000, in_pixels(seen) if kind == "left" else None)
        for kind, at, seen in events
    ]
    assert sorted(ours, key=repr) == sorted(expected, key=repr)
    for kind, _, seen in events:
        if kind == "left":
            assert seen.area_fraction == pytest.approx(area(in_pixels(seen)) / SIDE**2)
            assert seen.joined == ()
    numbers = [seen.lesion for kind, _, seen in events if kind == "appeared"]
    assert numbers == list(range(1, len(numbers) + 1))
    assert sorted(seen.lesion or 0 for kind, _, seen in events if kind == "left") == numbers
