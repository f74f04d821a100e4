from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from edgeseg.runtime.video.tracks import RegionFollower, tracks_of

Masks = NDArray[np.uint8]


def followed(masks: Masks, **options: float) -> tuple[list[list[NDArray[np.bool_]]], dict[int, int]]:
    """The regions of each frame, and the track of each by its number."""
    follower = RegionFollower(**options)
    frames = [follower.update(mask) for mask in masks]
    links = [(region.number, region.continues) for regions in frames for region in regions]
    assert [number for number, _ in links] == list(range(len(links)))
    return [[region.pixels for region in regions] for regions in frames], tracks_of(links)


def brute_force(
    masks: Masks, radius: int, forget_frames: int, smallest_px: int
) -> tuple[list[NDArray[np.bool_]], list[int]]:
    """By SciPy: every region of every frame, and its component in the graph of all pairs that belong together."""
    regions: list[tuple[int, NDArray[np.bool_]]] = []
    for frame, mask in enumerate(masks):
        labels, count = ndimage.label(mask > 0, np.ones((3, 3)))
        parts = [labels == label for label in range(1, count + 1)]
        regions += [(frame, part) for part in parts if part.sum() >= smallest_px]
    near = [ndimage.maximum_filter(part, 2 * radius + 1, mode="constant") for _, part in regions]
    joined = np.zeros((len(regions), len(regions)), np.bool_)
    for former, (before, _) in enumerate(regions):
        for frame in range(before + 1, min(before + forget_frames + 2, len(masks))):
            touching = [
                later for later, (at, part) in enumerate(regions) if at == frame and (near[former] & part).any()
            ]
            joined[former, touching] = True
            if touching:
                break
    return [part for _, part in regions], list(connected_components(csr_array(joined), directed=False)[1])


@settings(max_examples=150, deadline=None)
@given(
    masks=hnp.arrays(
        np.uint8,
        st.tuples(st.integers(1, 7), st.integers(3, 14), st.integers(3, 14)),
        elements=st.sampled_from([0, 0, 0, 0, 0, 0, 255]),
    ),
    radius=st.integers(1, 3),
    forget_frames=st.integers(0, 3),
    smallest_px=st.integers(1, 3),
)
def test_tracks_are_the_components_that_brute_force_finds(
    masks: Masks, radius: int, forget_frames: int, smallest_px: int
) -> None:
    reach = radius / max(masks.shape[1:])
    frames, track_of = followed(masks, reach=reach, forget_frames=forget_frames, smallest_area_px=smallest_px)
    ours = [part for parts in frames for part in parts]
    theirs, component_of = brute_force(masks, radius, forget_frames, smallest_px)
    assert len(ours) == len(theirs)
    # Both list a frame's regions in an order of their own.
    pairs = set()
    for frame_start, parts in _by_frame(frames):
        for offset, part in enumerate(parts):
            candidates = [
                index for index in range(frame_start, frame_start + len(parts)) if np.array_equal(theirs[index], part)
            ]
            assert len(candidates) == 1
            pairs.add((track_of[frame_start + offset], int(component_of[candidates[0]])))
    assert len(pairs) == len({track for track, _ in pairs}) == len({component for _, component in pairs})


def _by_frame(frames: list[list[NDArray[np.bool_]]]) -> list[tuple[int, list[NDArray[np.bool_]]]]:
    starts = np.cumsum([0, *(len(parts) for parts in frames)])
    return [(int(start), parts) for start, parts in zip(starts, frames, strict=False)]


def squares(*lefts: tuple[int, ...]) -> Masks:
    masks = np.zeros((len(lefts), 40, 100), np.uint8)
    for mask, places in zip(masks, lefts, strict=True):
        for left in places:
            mask[10:20, left : left + 10] = 255
    return masks


def test_a_mark_that_splits_and_joins_is_one_track_and_one_far_away_another() -> None:
    _, track_of = followed(squares((0, 60), (2, 60), (0, 12, 60), (4, 60)))
    assert len(set(track_of.values())) == 2


def test_a_gap_is_bridged_up_to_the_limit() -> None:
    for gap, tracks in ((2, 1), (3, 2)):
        _, track_of = followed(squares((0,), *([()] * gap), (0,)), forget_frames=2)
        assert len(set(track_of.values())) == tracks


def test_numbers_go_on_after_a_reset_and_nothing_is_continued() -> None:
    follower = RegionFollower()
    (first,) = follower.update(squares((0,))[0])
    assert follower.remembered == {first.number}
    follower.reset()
    (second,) = follower.update(squares((0,))[0])
    assert second.number == first.number + 1
    assert second.continues == ()


def test_a_mark_that_is_forgotten_is_not_continued_and_others_are() -> None:
    follower = RegionFollower(forget_frames=math.inf)
    left, right = sorted(follower.update(squares((0, 60))[0]), key=lambda region: int(region.pixels.argmax()))
    for _ in range(100):
        assert follower.update(squares(())[0]) == []
    follower.forget([left.number])
    assert follower.remembered == {right.number}
    again = follower.update(squares((0, 60))[0])
    assert sorted(region.continues for region in again) == [(), (right.number,)]
