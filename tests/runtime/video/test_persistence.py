from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from edgeseg.cli import run
from edgeseg.errors import UsageError
from edgeseg.frames import Probability
from edgeseg.images import write_png
from edgeseg.runtime.live.scene.refine import SceneRefiner
from edgeseg.runtime.video.persistence import WITHHELD, MarkPersistence, PersistenceSettings
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import SourceFrame

SETTINGS = PersistenceSettings(confirm_frames=3, strong=0.8, forget_frames=2, reach=0.05)


def frame(level: float = 0.0, left: int = 20, size: int = 10) -> Probability:
    """A map of 64x64 with one square."""
    plane = np.zeros((1, 64, 64), np.float32)
    plane[0, 20 : 20 + size, left : left + size] = level
    return plane


def shown(levels: list[float], chosen: PersistenceSettings = SETTINGS) -> list[bool]:
    """Frame by frame, whether a square of these probabilities is shown."""
    persistence = MarkPersistence(chosen)
    return [bool((persistence.update(frame(level)) >= 0.5).any()) for level in levels]


def test_a_mark_is_shown_from_its_third_frame_on() -> None:
    assert shown([0.9] * 5) == [False, False, True, True, True]
    assert shown([0.9] * 5, PersistenceSettings(confirm_frames=1)) == [True] * 5
    assert shown([0.0, 0.9, 0.0, 0.0, 0.0, 0.0, 0.9, 0.0]) == [False] * 8


def test_a_short_gap_is_bridged_and_a_long_one_is_not() -> None:
    assert shown([0.9, 0.9, 0.0, 0.0, 0.9]) == [False, False, False, False, True]
    assert shown([0.9, 0.9, 0.9, 0.0, 0.0, 0.9]) == [False, False, True, False, False, True]
    assert shown([0.9, 0.9, 0.9, 0.0, 0.0, 0.0, 0.9]) == [False, False, True, False, False, False, False]


def test_a_new_mark_needs_more_than_one_that_was_confirmed() -> None:
    assert shown([0.9, 0.9, 0.9, 0.6, 0.5, 0.4]) == [False, False, True, True, True, False]
    assert shown([0.6] * 6) == [False] * 6
    assert shown([0.9, 0.6, 0.6, 0.9, 0.6, 0.9]) == [False] * 5 + [True], "only strong frames confirm"


def test_a_mark_may_move_but_not_jump() -> None:
    moving, jumping = MarkPersistence(SETTINGS), MarkPersistence(SETTINGS)
    slow = [bool((moving.update(frame(0.9, left=10 + 3 * step)) >= 0.5).any()) for step in range(4)]
    fast = [bool((jumping.update(frame(0.9, left=step)) >= 0.5).any()) for step in (0, 20, 40, 0)]
    assert slow == [False, False, True, True]
    assert fast == [False] * 4


def test_only_the_marks_that_last_are_shown() -> None:
    persistence = MarkPersistence(SETTINGS)
    both = frame(0.9)
    for _ in range(3):
        persistence.update(both)
    new = both.copy()
    new[0, 50:60, 50:60] = 0.8
    given_map = new.copy()
    steadied = persistence.update(new)
    assert np.array_equal(new, given_map), "the argument stays as it is"
    assert np.array_equal(steadied[0, :45], new[0, :45])
    assert (steadied[0, 50:60, 50:60] == np.float32(WITHHELD)).all()
    persistence.reset()
    assert not (persistence.update(both) >= 0.5).any()


@settings(max_examples=60, deadline=None)
@given(
    clip=hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 6), st.just(1), st.integers(4, 20), st.integers(4, 20)),
        elements=st.floats(0, 1, width=32),
    ),
    confirm=st.integers(1, 4),
)
def test_regions_are_shown_or_withheld_whole_and_nothing_is_added(clip: Probability, confirm: int) -> None:
    """Against SciPy's labels."""
    persistence = MarkPersistence(PersistenceSettings(confirm_frames=confirm, strong=0.5))
    for number, one in enumerate(clip):
        after = persistence.update(one)
        assert after.shape == one.shape and after.dtype == np.float32
        labels, count = ndimage.label(one[0] >= 0.5, np.ones((3, 3)))
        assert np.array_equal(after[0][labels == 0], one[0][labels == 0])
        for label in range(1, count + 1):
            region = labels == label
            is_shown = np.array_equal(after[0][region], one[0][region])
            assert is_shown or (after[0][region] == np.float32(WITHHELD)).all()
            assert is_shown or confirm > 1
            assert not is_shown or number + 1 >= confirm


def test_several_classes_are_refused() -> None:
    with pytest.raises(UsageError, match="one class only"):
        MarkPersistence().update(np.zeros((3, 8, 8), np.float32))


def test_a_run_of_images_withholds_what_does_not_last(tiny_engine: Path, tmp_path: Path) -> None:
    """The tiny engine marks what is bright."""
    images = tmp_path / "images"
    for number in range(6):
        picture = np.zeros((32, 32, 3), np.uint8)
        picture[2:8, 2:8] = 255
        if number == 4:
            picture[20:28, 20:28] = 255
        write_png(images / f"{number}.png", picture)
    for name, flags in (("plain", []), ("steady", ["--steady"])):
        assert run(["run", str(tiny_engine), str(images), "--masks", str(tmp_path / name), *flags]) == 0
    marked = {
        name: [cv2.imread(str(tmp_path / name / f"{number}.png"), cv2.IMREAD_UNCHANGED) > 0 for number in range(6)]
        for name in ("plain", "steady")
    }
    first = PersistenceSettings().confirm_frames - 1
    assert [mask.any() for mask in marked["steady"]] == [False] * first + [True] * (6 - first)
    assert marked["plain"][4][24, 24] and not marked["steady"][4][24, 24]
    assert np.array_equal(marked["plain"][5], marked["steady"][5])


def test_live_video_does_the_same_and_forgets_after_a_gap() -> None:
    picture = Picture.of_bgr(np.full((90, 160, 3), 128, np.uint8)).planar()
    refiner = SceneRefiner(None, None, MarkPersistence(SETTINGS))
    seen = []
    for number, at_s in enumerate((0.0, 0.04, 0.08, 0.12, 3.0, 3.04, 3.08)):
        arrived_ns = 10**12 + round(at_s * 1e9)
        one = SourceFrame(number, arrived_ns, arrived_ns, number, Fraction(1, 25), picture)
        seen.append(bool((refiner.probability(one, frame(0.9)) >= 0.5).any()))
    assert seen == [False, False, True, True, False, False, True]
