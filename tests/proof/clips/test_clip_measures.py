from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from edgeseg.frames import Mask
from edgeseg.proof.clips import clip_marks
from edgeseg.proof.clips.clip_file import LesionEntry
from edgeseg.proof.clips.clip_marks import changed_outside_px
from edgeseg.proof.clips.clip_measures import lesion_times, runs_of
from edgeseg.proof.clips.lesions import HIT_IOU, Lesion, marks
from edgeseg.runtime.video.overlay import draw
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.tracks import FORGET_FRAMES, RegionFollower

FLAGS = st.lists(st.booleans(), min_size=1, max_size=60)


@given(flags=FLAGS, bridged=st.integers(0, 4))
def test_runs_are_those_of_closed_gaps(flags: list[bool], bridged: int) -> None:
    """Against SciPy: a gap is closed where dilating and eroding along time closes it."""
    padded = np.pad(np.array(flags), bridged + 1)
    closed = ndimage.binary_closing(padded, np.ones(bridged + 1)) if bridged else padded
    labels, count = ndimage.label(closed)
    expected = [
        (int(at[0]) - bridged - 1, int(at[-1]) - bridged - 1)
        for at in (np.flatnonzero(labels == label) for label in range(1, count + 1))
    ]
    assert runs_of(flags, bridged) == expected


@given(data=st.data(), flags=FLAGS.filter(any))
def test_times_of_a_lesion_against_groups_of_flags(data: st.DataObject, flags: list[bool]) -> None:
    """Against `itertools.groupby` over the frames that show it."""
    shown = np.array(flags)
    marked = shown & np.array(data.draw(st.lists(st.booleans(), min_size=len(flags), max_size=len(flags))))
    times = lesion_times(shown, marked, [index / 25 for index in range(len(flags))], 1 / 25)
    showings = [list(group) for is_shown, group in groupby(range(len(flags)), lambda at: flags[at]) if is_shown]
    misses = [
        len(list(group))
        for showing in showings
        for is_marked, group in groupby(showing, lambda at: bool(marked[at]))
        if not is_marked
    ]
    assert times.longest_miss_frames == max(misses, default=0)
    assert times.longest_miss_ms == pytest.approx(40 * max(misses, default=0))
    assert times.marked_share == pytest.approx(sum(marked) / sum(flags))
    assert times.switches == sum(len(list(groupby(showing, lambda at: bool(marked[at])))) - 1 for showing in showings)
    first = next((index for index, flag in enumerate(marked) if flag), None)
    assert times.first_mark_frames == (None if first is None else first - flags.index(True))


@pytest.mark.parametrize(
    ("marked", "found"),
    [
        ("....####..", False),
        ("....#####.", True),
        ("#" + "." * FORGET_FRAMES + "#..", True),
        ("..........", False),
        ("#" + "." * (FORGET_FRAMES + 1) + "#", False),
    ],
)
def test_a_lesion_is_found_once_a_mark_stood_for_five_frames(marked: str, found: bool) -> None:
    flags = np.array([sign == "#" for sign in marked])
    times_s = [index / 25 for index in range(len(flags))]
    assert lesion_times(np.ones(len(flags), np.bool_), flags, times_s, 1 / 25).found is found


def test_a_lesion_that_is_seen_for_a_moment_needs_no_longer_mark() -> None:
    shown = np.array([False, True, True, False])
    assert lesion_times(shown, shown, [0, 0.04, 0.08, 0.12], 0.04).found


@given(
    mask=hnp.arrays(np.bool_, (30, 40), elements=st.booleans()),
    box=st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(5, 20), st.integers(5, 20)),
)
def test_a_mark_is_on_a_lesion_by_the_overlap_of_what_touches_it(
    mask: np.ndarray, box: tuple[int, int, int, int]
) -> None:
    left, top, columns, rows = box
    entry = LesionEntry(frames=((0, 0),), boxes=((0, left, top, left + columns, top + rows),))
    is_shown, place = Lesion(entry).in_frame(0, *mask.shape)
    assert is_shown and place is not None
    assert place.sum() == (min(30, top + rows) - top) * (min(40, left + columns) - left)
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    touching = np.isin(labels, [label for label in np.unique(labels[place]) if label])
    iou = (touching & place).sum() / (touching | place).sum()
    regions = RegionFollower().update(mask.astype(np.uint8))
    assert marks(regions, place) == bool(touching.any() and iou >= HIT_IOU)
    assert marks(regions, None) == mask.any()


def test_a_box_moves_on_straight_lines_and_stays_beyond_its_ends() -> None:
    entry = LesionEntry(frames=((0, 30),), boxes=((10, 0, 0, 10, 10), (20, 20, 10, 40, 30)))
    lesion = Lesion(entry)

    def sides(index: int) -> tuple[int, int, int, int]:
        _, place = lesion.in_frame(index, 40, 50)
        assert place is not None
        rows, columns = np.flatnonzero(place.any(axis=1)), np.flatnonzero(place.any(axis=0))
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1

    assert sides(0) == sides(10) == (0, 0, 10, 10)
    assert sides(15) == (10, 5, 25, 20)
    assert sides(30) == (20, 10, 40, 30)
    assert lesion.in_frame(31, 40, 50) == (False, None)


@given(
    mask=hnp.arrays(np.uint8, (12, 16), elements=st.sampled_from([0, 0, 0, 255])), scale=st.sampled_from([8, 22, 50])
)
def test_the_overlay_of_run_changes_no_pixel_outside_the_mark(mask: Mask, scale: int) -> None:
    large = np.kron(mask, np.ones((scale, scale), np.uint8))
    noise = np.random.default_rng(0).integers(0, 256, (*large.shape, 3), np.uint8)
    for picture in (Picture.of_bgr(noise), Picture.of_bgr(noise).planar()):
        assert changed_outside_px(picture, large) == 0


def test_a_pixel_that_an_overlay_changes_elsewhere_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.zeros((96, 96), np.uint8)
    mask[10:30, 10:30] = 255

    def careless(picture: Picture, shown: Mask | None, lines: tuple[str, ...]) -> Picture:
        drawn = draw(picture, shown, lines)
        luma, chroma, _ = drawn.planes()
        luma[80, 80] ^= 1
        chroma[45, 20] ^= 1
        return drawn

    monkeypatch.setattr(clip_marks, "draw", careless)
    assert changed_outside_px(Picture.of_bgr(np.zeros((96, 96, 3), np.uint8)).planar(), mask) == 1 + 4
