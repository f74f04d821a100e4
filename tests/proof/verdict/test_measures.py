"""Sizes, borders and calibration of both networks; the oracles are scipy, torchmetrics and numpy over all pixels."""

import json
import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.spatial
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeseg.artifacts import Verdict
from edgeseg.boundary import border_distances, distances_to_truth
from edgeseg.proof.verdict.engine_comparison import compare
from edgeseg.proof.verdict.engine_measures import boundary_comparison, compare_by_size
from edgeseg.proof.verdict.measure_words import measure_lines
from edgeseg.proof.verdict.probability_calibration import BINS, CalibrationMeter
from edgeseg.proof.verdict.verdict_page import render_page, write_report
from edgeseg.proof.verdict.verdict_rows import verdict_row
from tests.proof.verdict.answers import network, of_nan
from tests.proof.verdict.test_probability_shift import graded, pooled, squashed

MASKS = hnp.arrays(
    np.uint8, st.tuples(st.just(3), st.integers(1, 14), st.integers(1, 14)), elements=st.sampled_from([0, 255])
)
PLANES = hnp.arrays(np.float32, (2, 9, 7), elements=st.floats(0, 1, width=32))
TRUTHS = hnp.arrays(np.bool_, (2, 9, 7))


def hd95_by_brute_force(a: np.ndarray, b: np.ndarray) -> float:
    """All distances between the border pixels of two masks, as medpy has them."""
    if not a.any() and not b.any():
        return 0.0
    if not a.any() or not b.any():
        return math.hypot(*a.shape)
    cross = scipy.ndimage.generate_binary_structure(2, 1)
    points = [np.argwhere((mask > 0) & ~scipy.ndimage.binary_erosion(mask > 0, cross)) for mask in (a, b)]
    distances = scipy.spatial.distance.cdist(*points)
    return max(np.percentile(distances.min(axis=axis), 95) for axis in (0, 1))


@given(MASKS)
def test_rows_have_the_distances_of_brute_force(masks: np.ndarray) -> None:
    truth, reference, engine = masks
    row = verdict_row("a", truth, reference, engine, 1)
    assert row.hd95_px == pytest.approx(hd95_by_brute_force(engine, truth), abs=1e-4)
    assert row.reference_hd95_px == pytest.approx(hd95_by_brute_force(reference, truth), abs=1e-4)
    assert row.diagonal_px == pytest.approx(np.linalg.norm(truth.shape))


def test_several_masks_at_once_are_measured_as_each_alone() -> None:
    masks = (np.random.default_rng(0).random((3, 40, 50)) > 0.9).astype(np.uint8)
    for together, mask in zip(distances_to_truth(masks[1:], masks[0]), masks[1:], strict=True):
        alone = border_distances(mask, masks[0])
        assert np.array_equal(together.predicted_to_truth, alone.predicted_to_truth)
        assert np.array_equal(together.truth_to_predicted, alone.truth_to_predicted)


def test_boundary_means_over_the_images_that_show_a_polyp() -> None:
    truth, off, empty = (np.zeros((30, 40), np.uint8) for _ in range(3))
    truth[10:20, 10:20], off[10:20, 13:23] = 255, 255
    rows = [
        verdict_row("three to the right", truth, truth, off, 1),
        verdict_row("missed", truth, truth, empty, 1),
        verdict_row("not finite", truth, truth, None, 1),
        verdict_row("no polyp", empty, empty, off, 1),
    ]
    found = boundary_comparison(rows)
    assert found is not None and found.image_count == 3
    assert found.engine.mean_px == pytest.approx((3 + 50 + 50) / 3) and found.engine.median_px == 50
    assert found.engine.mean_of_diagonal == pytest.approx((0.06 + 1 + 1) / 3)
    assert found.reference.mean_px == found.reference.mean_of_diagonal == 0
    assert boundary_comparison(rows[3:]) is None


def test_sizes_by_hand() -> None:
    def row(name: str, polyp_rows: int, missed_rows: int):
        truth = np.zeros((100, 10), np.uint8)
        truth[:polyp_rows] = 255
        mask = truth.copy()
        mask[:missed_rows] = 0
        return verdict_row(name, truth, truth, mask, 1)

    small, medium, large = compare_by_size(
        [row("a", 2, 2), row("b", 4, 0), row("c", 40, 10), row("none", 0, 0), row("d", 16, 0)]
    )
    assert (small.name, small.image_count, small.lost, small.reference_found) == ("small", 2, 1, 2)
    assert (small.mean_dice, small.reference_mean_dice, small.mean_dice_drop) == (0.5, 1, 0.5)
    assert (medium.image_count, medium.mean_dice, medium.drop_interval) == (0, None, None)
    assert large.image_count == 2 and large.mean_dice == pytest.approx((60 / 70 + 1) / 2) and large.lost == 0


@given(PLANES, TRUTHS)
def test_any_planes_agree_with_torchmetrics_and_numpy(planes: np.ndarray, truths: np.ndarray) -> None:
    torch, classification = pytest.importorskip("torch"), pytest.importorskip("torchmetrics.functional.classification")
    exact = np.rint(planes.astype(np.float64) * 10_000) / 10_000
    exact = np.where((exact * BINS) % 1 == 0, np.float64(0.5), exact)  # at an edge the bin is a matter of rounding
    meter = CalibrationMeter()
    for plane, truth in zip(exact.astype(np.float32), truths, strict=True):
        meter.add(plane, truth.astype(np.uint8) * 255)
    error = meter.error()
    assert error is not None
    assert error.brier == pytest.approx(np.mean((exact - truths) ** 2), abs=1e-6)
    theirs = classification.binary_calibration_error(torch.tensor(exact), torch.tensor(truths).int(), n_bins=BINS)
    assert error.expected_error == pytest.approx(float(theirs), abs=1e-5)


def test_ignored_pixels_and_other_sizes() -> None:
    meter = CalibrationMeter()
    truth, ignored = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.bool_)
    truth[:4], ignored[:, 4:] = 255, True
    plane = np.full((4, 4), 0.25, np.float32)
    plane[:, 2:] = 0.9
    meter.add(plane, truth, ignored)
    error = meter.error()
    assert error is not None
    assert error.expected_error == pytest.approx(0.25)
    assert error.brier == pytest.approx((0.75**2 + 0.25**2) / 2)
    assert CalibrationMeter().error() is None


def test_an_engine_less_sure_than_it_is_right_is_told(make_pairs, verdict_of, tmp_path) -> None:
    pairs, engine, reference = make_pairs(8, dim_rows=4), network(squashed(0.5)), network(graded)
    verdict = verdict_of(pairs, engine, reference)
    assert verdict.calibration is not None and verdict.boundary is not None
    truths = np.stack([pair.read()[1] > 0 for pair in pairs])
    for ours, plane in zip(
        (verdict.calibration.reference, verdict.calibration.engine), pooled(pairs, squashed(0.5)), strict=True
    ):
        assert ours.brier == pytest.approx(np.mean((plane - truths) ** 2), abs=1e-4)
    write_report(tmp_path / "report", verdict, engine, reference, pairs)
    text = (tmp_path / "report" / "verdict.html").read_text()
    for heading in ("Non-inferiority", "Border to ground truth", "Calibration of probabilities", "By the polyp's size"):
        assert heading in text.replace("&#39;", "'")
    words = "; ".join(measure_lines(verdict))
    for part in (
        "non-inferiority (a drop below",
        "large polyps: Dice",
        "borders lie off",
        "Brier score",
        "probabilities are",
    ):
        assert part in words
    older = json.loads((tmp_path / "report" / "verdict.json").read_text())
    for field in ("non_inferiority", "regions", "by_size", "boundary", "calibration", "probability_shift"):
        del older[field]
    for row in older["rows"]:
        for field in ("region_ious", "reference_region_ious", "hd95_px", "reference_hd95_px", "diagonal_px"):
            del row[field]
    former = Verdict.from_json(json.dumps(older))
    assert "Latency" in render_page(former, []) and measure_lines(former) == []


def test_an_engine_of_nan_has_no_calibration_and_the_diagonal(make_pairs) -> None:
    found = compare(network(of_nan), network(graded), make_pairs(8))
    assert found.calibration is None
    assert found.rows[0].hd95_px == found.rows[0].diagonal_px
