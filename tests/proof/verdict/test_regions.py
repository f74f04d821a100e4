"""Polyps by connected region; the oracle is scipy's labels and a loop over pixels' sets."""

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeseg.artifacts import VerdictRow
from edgeseg.dataset import Pair
from edgeseg.images import write_png
from edgeseg.proof.verdict.engine_comparison import Comparison
from edgeseg.proof.verdict.lost_polyps import found_polyps, lost_count
from edgeseg.proof.verdict.regions import SMALLEST_SHARE, found_regions, ious_of_regions
from edgeseg.proof.verdict.rules import judge_lost_polyps, limits_for
from edgeseg.proof.verdict.verdict_rows import verdict_row
from tests.proof.verdict.answers import SIZE_PX, network, right

MASKS = hnp.arrays(
    np.uint8, st.tuples(st.just(2), st.integers(1, 12), st.integers(1, 12)), elements=st.sampled_from([0, 1])
)


def blocks(*places: tuple[int, int, int, int]) -> np.ndarray:
    """A mask of 60x60 with a rectangle for each (top, bottom, left, right)."""
    mask = np.zeros((60, 60), np.uint8)
    for top, bottom, left, right_ in places:
        mask[top:bottom, left:right_] = 255
    return mask


def by_hand(predicted: np.ndarray, truth: np.ndarray) -> list[float]:
    """The IoU of each region, the largest first, with sets of pixels."""

    def parts(mask: np.ndarray) -> list[set[tuple[int, int]]]:
        labels, count = scipy.ndimage.label(mask, np.ones((3, 3)))
        return [set(zip(*np.nonzero(labels == label), strict=True)) for label in range(1, count + 1)]

    regions = sorted(parts(truth), key=lambda region: -len(region))
    polyps = [region for region in regions if len(region) >= SMALLEST_SHARE * truth.size] or regions[:1]
    anywhere = set().union(*regions)
    found = []
    for polyp in polyps:
        touching = [piece for piece in parts(predicted) if piece & polyp]
        marked = set().union(*touching) - (anywhere - polyp)
        found.append(len(marked & polyp) / len(marked | polyp))
    return found


@given(MASKS)
def test_any_masks_agree_with_sets_of_pixels(masks: np.ndarray) -> None:
    predicted, truth = masks
    (found,) = ious_of_regions([predicted], truth)
    assert sorted(found) == pytest.approx(sorted(by_hand(predicted, truth)))


def test_a_fleck_of_ground_truth_is_no_polyp_unless_it_is_all_there_is() -> None:
    fleck, polyp = (0, 1, 0, 3), (20, 40, 20, 40)
    assert ious_of_regions([blocks(polyp)], blocks(polyp, fleck)) == [(1.0,)]
    assert ious_of_regions([blocks(polyp)], blocks(fleck)) == [(0.0,)]
    assert ious_of_regions([blocks(polyp)], blocks()) == [()]


def test_one_mark_over_two_polyps_and_one_polyp_under_two_marks() -> None:
    left, right_, both = (0, 20, 0, 20), (0, 20, 24, 44), (0, 20, 0, 44)
    assert ious_of_regions([blocks(both)], blocks(left, right_)) == [pytest.approx((400 / 480, 400 / 480))]
    halves = blocks((0, 9, 0, 20), (11, 20, 0, 20))
    assert ious_of_regions([halves], blocks(left)) == [pytest.approx((360 / 400,))]


def test_each_class_has_regions_of_its_own() -> None:
    truth, mask = blocks(), blocks()
    truth[:20, :20], truth[25:45, 25:45] = 1, 2
    mask[:20, :20], mask[25:45, 25:45] = 1, 1
    assert ious_of_regions([mask], truth, 3) == [(1.0, 0.0)]


def large_and_small(name: str, engine: np.ndarray) -> VerdictRow:
    truth = blocks((0, 30, 0, 30), (40, 50, 40, 50))
    return verdict_row(name, truth, truth, engine, 1)


def test_a_second_polyp_that_is_lost_counts() -> None:
    rows = [
        large_and_small("a", blocks((0, 30, 0, 30))),
        large_and_small("b", blocks((0, 30, 0, 30), (40, 50, 40, 50))),
    ]
    assert found_polyps(rows).lost.count == 0, "the whole mask still overlaps"
    regions = found_regions(rows)
    assert (regions.regions, regions.reference_found, regions.engine_found) == (4, 4, 3)
    assert regions.lost.names == ("a, region 2 of 2",) and lost_count(rows) == 1
    for limit, passed in ((0, False), (1, True)):
        (finding,) = judge_lost_polyps(Comparison(tuple(rows)), limits_for("int8", None, None, limit))
        assert finding.outcome is passed
        assert "0 of 2 images" in finding.reason and "it loses 1 of 4: a, region 2 of 2" in finding.reason
    (warning,) = judge_lost_polyps(Comparison(tuple(rows)), limits_for("int8", None, None))
    assert warning.outcome is True and warning.reason.startswith("warning: ")


def test_a_mark_far_from_the_polyp_still_loses_the_image() -> None:
    """The region is found; the whole mask is not, and that count is not given up."""
    polyp = blocks((0, 20, 0, 20))
    row = verdict_row("a", polyp, polyp, blocks((0, 20, 0, 20), (30, 60, 30, 60)), 1)
    assert row.region_ious == (1.0,) and found_regions([row]).lost.count == 0
    assert lost_count([row]) == 1


def test_verify_loses_the_second_polyp(tmp_path, verdict_of) -> None:
    pairs = []
    for index in range(8):
        mask = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
        mask[:20, :30], mask[30:36, 36:42] = 255, 255
        frame = np.where(mask > 0, 200, 50 + index).astype(np.uint8)
        frame[30:36, 36:42] = 100 if index < 2 else 200
        for name, picture in (("images", np.repeat(frame[..., None], 3, 2)), ("masks", mask)):
            write_png(tmp_path / name / f"{index}.png", picture)
        pairs.append(Pair(str(index), tmp_path / "images" / f"{index}.png", tmp_path / "masks" / f"{index}.png"))
    seeing = network(lambda frame: np.where(frame[..., 1] > 90, 0.9, 0.1), "b")
    verdict = verdict_of(pairs, network(right), seeing, max_dice_drop=0.05, max_lost_polyps=1)
    assert verdict.passed is False and verdict.mean_dice_drop < 0.05
    assert verdict.polyps.lost.count == 0
    assert verdict.regions.lost.names == ("0, region 2 of 2", "1, region 2 of 2")
