from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.runtime.live.sinks.events import Event
from edgeseg.runtime.live.sinks.sightings import GRID_PX, EventRules, EventTracker
from edgeseg.runtime.live.sinks.sink_choice import event_sink
from tests.runtime.live.sinks.marked_boxes import LEFT, RIGHT, SIDE, Box, area, frame, in_pixels, see, told


def told_of(*places: tuple[Sequence[Box], int]) -> list[tuple[str, int, int | None, int]]:
    """Marks and for how many frames they stay: kind, frame, lesion and first frame of each event."""
    boxes = [marks for marks, count in places for _ in range(count)]
    events = told(frame(index, marks) for index, marks in enumerate(boxes))
    return [(kind, at, seen.lesion, seen.first_frame) for kind, at, seen in events]


def test_one_of_two_lesions_leaves_and_each_has_its_own_look() -> None:
    probability = np.full((1, 32, 32), 0.1, np.float32)
    probability[0, :, :16], probability[0, :, 16:] = 0.8, 0.6
    larger_left = (LEFT[0] - 2, *LEFT[1:])
    scenes = [[LEFT, RIGHT]] * 10 + [[larger_left, RIGHT]] + [[LEFT, RIGHT]] * 9 + [[RIGHT]] * 40
    frames = [frame(index, boxes) for index, boxes in enumerate(scenes)]
    frames = [
        replace(shown, mask=replace(shown.mask, probability=probability))  # type: ignore[type-var]
        for shown in frames
    ]
    events = told(frames)
    assert [(kind, at, seen.lesion) for kind, at, seen in events] == [
        ("appeared", 8, 1),
        ("appeared", 8, 2),
        ("left", 45, 1),
        ("left", -1, 2),
    ]
    first, second = events[2][2], events[3][2]
    assert (in_pixels(first), in_pixels(second)) == (larger_left, RIGHT)
    assert (first.confidence, second.confidence) == (pytest.approx(0.8), pytest.approx(0.6))
    assert first.area_fraction == pytest.approx(area(larger_left) / SIDE**2)
    assert second.area_fraction == pytest.approx(area(RIGHT) / SIDE**2)
    assert first.picture is frames[10].overlay and second.picture is frames[0].overlay
    assert (first.duration_s, second.duration_s) == (pytest.approx(19 / 25), pytest.approx(59 / 25))


def test_a_lesion_that_splits_is_one_until_its_last_part_has_left() -> None:
    parts = [(8, 20, 13, 32), (15, 20, 20, 32)]
    apart = [(4, 20, 9, 32), (30, 20, 35, 32)]
    apart_in_steps = [[(8 - step // 4, 20, 13 - step // 4, 32), (15 + step, 20, 20 + step, 32)] for step in range(16)]
    steps = [(boxes, 1) for boxes in apart_in_steps]
    assert told_of(([LEFT], 10), (parts, 5), *steps, (apart, 5), (apart[1:], 50), ([], 30)) == [
        ("appeared", 8, 1, 0),
        ("left", 111, 1, 0),
    ]


def test_lesions_that_join_go_on_as_the_earlier_one() -> None:
    joined = [(8, 20, 52, 28)]
    assert told_of(([RIGHT], 10), ([RIGHT, LEFT], 20), (joined, 1), ([LEFT], 20), ([], 30)) == [
        ("appeared", 8, 1, 0),
        ("appeared", 18, 2, 10),
        ("left", 76, 1, 0),
    ]


def test_the_joined_lesions_are_named_and_the_largest_look_is_kept() -> None:
    large, small = (4, 4, 30, 60), (36, 50, 42, 60)
    two_joined, all_joined = (24, 50, 38, 58), (36, 20, 44, 52)
    scenes = [([RIGHT], 10), ([RIGHT, large], 10), ([RIGHT, large, small], 20), ([RIGHT, two_joined], 1)]
    shown = [boxes for boxes, count in [*scenes, ([all_joined], 1)] for _ in range(count)]
    events = told(frame(index, boxes) for index, boxes in enumerate(shown))
    assert [(kind, seen.lesion) for kind, _, seen in events] == [
        ("appeared", 1),
        ("appeared", 2),
        ("appeared", 3),
        ("left", 1),
    ]
    left = events[-1][2]
    assert (left.first_frame, left.joined, in_pixels(left)) == (0, (2, 3), large)
    assert left.area_fraction == pytest.approx(area(large) / SIDE**2)


def test_a_certain_lesion_goes_on_where_it_joins_an_uncertain_one_that_began_before() -> None:
    """Else `left` would tell another beginning than `appeared` did."""
    times_ms = [0, 100, 240, 400, 450]
    shown = [[LEFT], [LEFT, RIGHT], [LEFT, RIGHT], [RIGHT], [(8, 20, 52, 28)]]
    events = told(frame(index, boxes, times_ms[index]) for index, boxes in enumerate(shown))
    assert [(kind, seen.first_frame, seen.lesion, seen.joined) for kind, _, seen in events] == [
        ("appeared", 1, 1, ()),
        ("left", 1, 1, ()),
    ]


def test_lesions_that_cross_are_one_from_then_on() -> None:
    places = [[(4 + step, 10, 12 + step, 20), (52 - step, 14, 60 - step, 24)] for step in range(48)]
    steps = [(boxes, 1) for boxes in places]
    assert told_of(([*places[0]], 20), *steps, (places[-1][:1], 40), ([], 30)) == [
        ("appeared", 8, 1, 0),
        ("appeared", 8, 2, 0),
        ("left", 133, 1, 0),
    ]


def test_a_flicker_beside_a_lesion_is_no_event() -> None:
    flicker = [part for _ in range(10) for part in (([LEFT, RIGHT], 2), ([LEFT], 9))]
    assert told_of(*flicker) == [("appeared", 8, 1, 0), ("left", -1, 1, 0)]


@pytest.mark.parametrize("rate", [5, 25, 60])
@pytest.mark.parametrize(("gap_ms", "sightings"), [(900, 1), (1300, 2)])
def test_a_gap_is_measured_in_time_while_another_lesion_stays(rate: int, gap_ms: int, sightings: int) -> None:
    times_ms = range(0, 4000, 1000 // rate)
    shown = [[RIGHT] if 1000 < time < 1000 + gap_ms else [RIGHT, LEFT] for time in times_ms]
    events = told(frame(index, boxes, times_ms[index]) for index, boxes in enumerate(shown))
    assert len(events) == 2 * (1 + sightings)
    assert sum(in_pixels(seen) == LEFT for kind, _, seen in events if kind == "left") == sightings


def test_a_part_that_left_long_ago_takes_nothing_with_it() -> None:
    """The place where a part of a lesion was seen once does not belong to it for ever."""
    split = [LEFT, (22, 20, 26, 28)]
    away = [[LEFT, (22 + step, 20, 26 + step, 28)] for step in range(1, 30)]
    steps = [(boxes, 1) for boxes in away]
    events = told_of((split, 10), *steps, ([LEFT], 30), ([LEFT, (51, 20, 55, 28)], 20))
    assert [(kind, lesion) for kind, _, lesion, _ in events] == [
        ("appeared", 1),
        ("appeared", 2),
        ("left", 1),
        ("left", 2),
    ]


def test_what_is_remembered_is_bounded() -> None:
    tracker = EventTracker()
    for index in range(2000):
        see(tracker, frame(index, [LEFT, (40 + 8 * (index % 3), 8, 44 + 8 * (index % 3), 14)]))
    assert len(tracker._seen_ns) == len(tracker._track_of) <= 8
    assert tracker._follower.remembered == tracker._track_of.keys()


def test_a_mask_that_is_shown_on_several_frames_tells_what_new_ones_tell() -> None:
    shown = [[LEFT, RIGHT]] * 20 + [[RIGHT]] * 40
    fresh, held = (
        told(frame(index, boxes, mask_index=index - index % every) for index, boxes in enumerate(shown))
        for every in (1, 4)
    )
    described = [
        [(kind, at, seen.lesion, seen.duration_s, in_pixels(seen)) for kind, at, seen in events]
        for events in (fresh, held)
    ]
    assert described[0] == described[1] and len(described[0]) == 4


def test_the_same_mask_after_a_long_gap_is_another_sighting() -> None:
    shown = [frame(index, [LEFT] if index < 10 or index >= 40 else [], mask_index=7) for index in range(80)]
    events = told([*shown, *(frame(index, [LEFT]) for index in range(80, 100))])
    assert [(kind, at, seen.lesion) for kind, at, seen in events] == [
        ("appeared", 8, 1),
        ("left", 35, 1),
        ("appeared", 48, 2),
        ("left", -1, 2),
    ]


def test_a_source_that_changes_its_size_changes_no_lesion() -> None:
    double = tuple(2 * side for side in LEFT)
    frames = [frame(index, [LEFT]) for index in range(10)]
    frames += [frame(index, [double], side=2 * SIDE) for index in range(10, 20)]  # type: ignore[list-item]
    assert [(kind, seen.lesion) for kind, _, seen in told(frames)] == [("appeared", 1), ("left", 1)]


def test_a_frame_without_marks_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = EventTracker()
    monkeypatch.setattr(EventTracker, "_follow", lambda *_: pytest.fail("followed"))
    assert see(tracker, frame(0, [])) == see(tracker, frame(1, [(0, 0, 2, 2)])) == ([], [])
    assert GRID_PX**2 * EventRules().smallest_area_fraction > 16, (
        "a region of the smallest size has more than a few pixels"
    )


def test_lines_of_two_lesions_have_their_own_numbers_boxes_and_pictures(tmp_path: Path) -> None:
    sink = event_sink(tmp_path / "events.jsonl", "polyp")
    larger = (*RIGHT[:3], RIGHT[3] + 4)
    for index in range(20):
        sink.offer(frame(index, [LEFT, RIGHT if index < 15 else larger]))
    sink.close(20)
    lines: list[dict[str, Any]] = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [(line["event"], line["lesion"], line["frame"]) for line in lines] == [
        ("appeared", 1, 0),
        ("appeared", 2, 0),
        ("left", 1, 0),
        ("left", 2, 0),
    ]
    for line, box in zip(lines[2:], (LEFT, larger), strict=True):
        assert line["box"] == [round(side / SIDE, 4) for side in box]
        assert line["joined"] == []
    assert len({line["thumbnail"] for line in lines[2:]}) == len(list((tmp_path / "events").iterdir())) == 2


def test_every_lesion_of_a_line_that_appeared_is_closed_by_a_line_that_left() -> None:
    """A reader that counts what is in view needs no other rule."""
    shown = [[LEFT, RIGHT]] * 20 + [[(8, 20, 52, 28)]] * 5 + [[RIGHT]] * 5
    events = [Event(kind, "polyp", seen).to_dict() for kind, _, seen in told(map(frame, range(30), shown))]  # type: ignore[arg-type]
    in_view = {event["lesion"] for event in events if event["event"] == "appeared"}
    for event in events:
        if event["event"] == "left":
            in_view -= {event["lesion"], *event["joined"]}  # type: ignore[misc]
    assert in_view == set()
