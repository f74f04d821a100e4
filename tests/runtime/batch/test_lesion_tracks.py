from __future__ import annotations

from collections.abc import Sequence

import pytest

from edgeseg.runtime.batch.frame_rows import packed_grid
from edgeseg.runtime.batch.lesion_tracks import FoundLesion, LesionInFrame, LesionTracks
from tests.runtime.live.sinks.marked_boxes import LEFT, RIGHT, SIDE, Box, area, frame, told

BOTH = (LEFT[0], LEFT[1], RIGHT[2], LEFT[3])
"""A box that touches the two of them."""


def followed(scenes: Sequence[Sequence[Box]]) -> tuple[list[FoundLesion], dict[int, list[LesionInFrame]]]:
    """The lesions of frames with boxes, 25 a second."""
    tracks = LesionTracks()
    for index, boxes in enumerate(scenes):
        mask = frame(index, boxes).mask
        assert mask is not None
        grid = packed_grid(mask.mask) if boxes else None
        tracks.see(index, index / 25, grid, mask.area_fraction, mask.confidence)
    return tracks.lesions()


def test_two_lesions_are_numbered_as_they_come() -> None:
    found, shown = followed([[]] * 3 + [[RIGHT]] * 12 + [[LEFT, RIGHT]] * 20 + [[LEFT]] * 30)
    assert [(each.lesion, each.first_frame, each.last_frame, each.frames) for each in found] == [
        (1, 3, 34, 32),
        (2, 15, 64, 50),
    ]
    assert [[each.lesion for each in shown.get(index, ())] for index in (0, 3, 20, 40)] == [[], [1], [1, 2], [2]]
    for place, box in enumerate((RIGHT, LEFT)):
        seen = shown[20][place]
        assert [side * SIDE for side in seen.box] == list(box)
        assert seen.area_share == pytest.approx(area(box) / SIDE**2)
        assert found[place].largest_area_share == pytest.approx(area(box) / SIDE**2)
    assert (found[0].first_s, found[0].last_s) == (3 / 25, 34 / 25)


def test_the_number_is_that_of_the_beginning_and_not_of_the_end() -> None:
    found, _ = followed([[RIGHT]] * 12 + [[LEFT, RIGHT]] * 12 + [[RIGHT]] * 40)
    assert [(each.first_frame, each.last_frame) for each in found] == [(0, 63), (12, 23)]


def test_they_are_the_events_of_live_video() -> None:
    scenes = [[LEFT]] * 12 + [[]] * 30 + [[LEFT, RIGHT]] * 3 + [[LEFT]] * 20 + [[]] * 40 + [[RIGHT]] * 15
    left = [seen for kind, _, seen in told(frame(index, boxes) for index, boxes in enumerate(scenes)) if kind == "left"]
    found, _ = followed(scenes)
    assert [each.first_frame for each in found] == [seen.first_frame for seen in left] == [0, 42, 105]
    assert [each.box for each in found] == [seen.box for seen in left]
    assert [each.last_s for each in found] == [pytest.approx(seen.last_ns / 1e9) for seen in left]


def test_what_lasts_for_a_moment_is_no_lesion() -> None:
    found, shown = followed([[LEFT]] * 20 + [[LEFT, RIGHT]] * 4 + [[LEFT]] * 20)
    assert [each.lesion for each in found] == [1]
    assert [each.lesion for each in shown[22]] == [1]


def test_lesions_that_turn_out_to_be_one_are_one_from_the_beginning() -> None:
    """Live video has told of both by then; here nothing is told before the end."""
    found, shown = followed([[LEFT, RIGHT]] * 20 + [[BOTH]] * 5 + [[LEFT, RIGHT]] * 5)
    assert [(each.lesion, each.first_frame, each.last_frame, each.frames) for each in found] == [(1, 0, 29, 30)]
    (seen,) = shown[5]
    assert [side * SIDE for side in seen.box] == [LEFT[0], 20, RIGHT[2], 32]
    assert seen.area_share == pytest.approx((area(LEFT) + area(RIGHT)) / SIDE**2)


def test_a_video_without_marks() -> None:
    assert followed([[]] * 5) == ([], {})
