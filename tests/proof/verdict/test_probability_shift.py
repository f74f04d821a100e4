"""Masks hide an engine that finds the same and is less sure of it; the oracle is numpy over all pixels."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeseg.artifacts import Verdict, VerdictLimits
from edgeseg.images import read_rgb
from edgeseg.proof.verdict.engine_comparison import compare
from edgeseg.proof.verdict.plausibility import with_floors
from edgeseg.proof.verdict.probability_shift import STEPS, ShiftMeter, shift_in_words
from edgeseg.proof.verdict.verdict_charts import confidence_chart
from edgeseg.proof.verdict.verdict_page import render_page, write_report
from edgeseg.proof.verdict.verification import judge_accuracy
from tests.proof.verdict.answers import SIZE_PX, Answer, network, of_nan

PROBABILITIES = hnp.arrays(np.float32, (2, 3, 7, 5), elements=st.floats(0, 1, width=32))


def graded(frame: np.ndarray) -> np.ndarray:
    """Each grey level has its own probability; what is brighter than 120 is polyp."""
    return 1 / (1 + np.exp((120.5 - frame[..., 1].astype(np.float32)) / 20))


def squashed(towards_half: float) -> Answer:
    return lambda frame: 0.5 + (graded(frame) - 0.5) * (1 - towards_half)


def pooled(pairs, engine: Answer) -> tuple[np.ndarray, np.ndarray]:
    frames = [read_rgb(pair.image) for pair in pairs]
    return tuple(np.stack([answer(frame) for frame in frames]).astype(np.float32) for answer in (graded, engine))


def test_squashed_probabilities_change_no_mask_and_are_shown(make_pairs) -> None:
    pairs, engine = make_pairs(8, dim_rows=list(range(8)), background=100), squashed(0.5)
    found = compare(network(engine), network(graded), pairs)
    assert (found.mean_agreement, found.mean_dice_drop) == (1, 0)
    assert all(row.flipped_share == 0 for row in found.rows)
    ours, theirs = found.shift, pooled(pairs, engine)
    assert ours is not None
    difference = np.abs(theirs[1].astype(np.float64) - theirs[0])
    assert ours.mean_difference == pytest.approx(difference.mean(), abs=1e-6)
    assert ours.p99_difference == pytest.approx(np.quantile(difference, 0.99, method="inverted_cdf"), abs=1 / STEPS)
    inside = theirs[0] >= 0.5
    assert ours.reference_confidence == pytest.approx(theirs[0][inside].mean(dtype=np.float64), abs=1e-6)
    assert ours.confidence == pytest.approx(theirs[1][inside].mean(dtype=np.float64), abs=1e-6)
    assert ours.reference_confidence - ours.confidence > 0.2
    for row, reference, answer in zip(found.rows, *theirs, strict=True):
        assert row.reference_confidence == pytest.approx(reference[reference >= 0.5].mean(), abs=1e-6)
        assert row.confidence == pytest.approx(answer[reference >= 0.5].mean(), abs=1e-6)


def test_no_limit_judges_it(make_pairs) -> None:
    pairs, limits = make_pairs(8), with_floors(VerdictLimits(max_dice_drop=0))
    same, less_sure = (compare(network(engine), network(graded), pairs) for engine in (graded, squashed(0.9)))
    assert judge_accuracy(same, limits, "int8") == judge_accuracy(less_sure, limits, "int8")
    assert same.shift is not None and less_sure.shift is not None
    assert (same.shift.mean_difference, same.shift.p99_difference) == (0, 0)
    assert same.shift.confidence == same.shift.reference_confidence != less_sure.shift.confidence


@given(PROBABILITIES)
def test_any_planes_agree_with_numpy(planes: np.ndarray) -> None:
    meter = ShiftMeter()
    for reference, engine in zip(*planes, strict=True):
        meter.add(reference, engine, (reference >= 0.5).astype(np.uint8) * 255)
    shift = meter.shift()
    assert shift is not None
    reference, engine = planes.astype(np.float64)
    difference = np.abs(engine - reference)
    assert shift.mean_difference == pytest.approx(difference.mean(), abs=1e-6)
    exact = np.quantile(difference, 0.99, method="inverted_cdf")
    assert shift.p99_difference == pytest.approx(exact, abs=0.51 / STEPS)
    inside = reference >= 0.5
    if inside.any():
        assert shift.confidence == pytest.approx(engine[inside].mean())
        assert shift.reference_confidence == pytest.approx(reference[inside].mean())
    else:
        assert (shift.confidence, shift.reference_confidence) == (None, None)


def test_an_engine_of_another_size_is_scaled_to_the_reference() -> None:
    meter = ShiftMeter()
    means = meter.add(
        np.full((8, 8), 0.8, np.float32), np.full((4, 4), 0.6, np.float32), np.full((16, 16), 255, np.uint8)
    )
    assert means == pytest.approx((0.8, 0.6))
    shift = meter.shift()
    assert shift is not None and shift.mean_difference == pytest.approx(0.2)


def test_only_the_mask_counts_as_inside() -> None:
    reference, engine = np.full((4, 6), 0.9, np.float32), np.full((4, 6), 0.7, np.float32)
    mask = np.zeros((4, 6), np.uint8)
    mask[1:3, :2], reference[1:3, :2], engine[1:3, :2] = 1, 0.75, 0.5
    assert ShiftMeter().add(reference, engine, mask) == (0.75, 0.5)


def test_an_engine_of_nan_has_no_shift(make_pairs) -> None:
    found = compare(network(of_nan), network(graded), make_pairs(8))
    assert found.shift is None
    assert found.rows[0].confidence is None


def test_nothing_found_leaves_the_differences(make_pairs) -> None:
    found = compare(network(squashed(0.5)), network(graded), make_pairs(8, polyp_rows=0))
    assert found.shift is not None and found.shift.mean_difference > 0 and found.shift.confidence is None
    assert "inside" not in shift_in_words(found.shift)
    assert confidence_chart(found.rows) is None


def test_the_page_shows_it_and_an_older_verdict_reads_without(make_pairs, verdict_of, tmp_path: Path) -> None:
    pairs, engine, reference = make_pairs(8), network(squashed(0.5)), network(graded)
    verdict = verdict_of(pairs, engine, reference)
    write_report(tmp_path / "report", verdict, engine, reference, pairs)
    text = (tmp_path / "report" / "verdict.html").read_text()
    assert verdict.probability_shift is not None
    assert shift_in_words(verdict.probability_shift).replace("'", "&#39;") in text
    row = verdict.rows[0]
    assert f"reference {row.reference_confidence:.4f}, engine {row.confidence:.4f}" in text
    older = json.loads((tmp_path / "report" / "verdict.json").read_text())
    assert older.pop("probability_shift")["mean_difference"] > 0
    for entry in older["rows"]:
        del entry["confidence"], entry["reference_confidence"]
    page = render_page(Verdict.from_json(json.dumps(older)), [])
    assert "Latency" in page and "less sure" not in page


def test_memory_does_not_grow_with_the_pictures() -> None:
    def peak(count: int) -> int:
        meter, mask = ShiftMeter(), np.full((SIZE_PX, SIZE_PX), 255, np.uint8)
        tracemalloc.start()
        for index in range(count):
            plane = np.full((SIZE_PX, SIZE_PX), index / count, np.float32)
            meter.add(plane, plane[::-1] / 2, mask)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(2)
    assert peak(200) < 1.2 * peak(4)
