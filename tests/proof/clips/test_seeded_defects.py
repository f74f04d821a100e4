"""Engines with one defect each fail, and the reasons name it; an honest one passes."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.artifacts import ClipVerdict
from tests.proof.clips.conftest import FRAMES, OTHER_FRAMES, SHOWN, DroppingEngine, HeldEngine, LateEngine
from tests.proof.verdict.answers import network, of_nan, right


def rounding(frame: np.ndarray) -> np.ndarray:
    """INT8 moves the probabilities of a sound network a little."""
    return right(frame) + np.random.default_rng(int(frame.sum())).uniform(-0.02, 0.02, frame.shape[:2])


def another_network(frame: np.ndarray) -> np.ndarray:
    """The network before the last: it marks the dark side of the wall."""
    return np.where(frame[..., 1] < 30, 0.9, 0.1)


def blind(frame: np.ndarray) -> np.ndarray:
    return np.full(frame.shape[:2], 0.1)


def nervous(frame: np.ndarray) -> np.ndarray:
    """Right, and it sees polyps in the lower left corner, too."""
    probability = right(frame)
    probability[40:, :8] = 0.9
    return probability


def failures(verdict: ClipVerdict) -> str:
    return "\n".join(verdict.reasons)


def test_an_honest_engine_passes_with_figures_that_can_be_counted_by_hand(prove) -> None:
    verdict = prove(network(rounding))
    assert verdict.passed is True, verdict.reasons
    (lesion,) = verdict.lesions
    for times in (lesion.engine, lesion.reference):
        assert times.found and times.marked_share == 1
        assert times.first_mark_ms == times.longest_miss_ms == times.switches == 0
    assert lesion.shown_frames == SHOWN[1] - SHOWN[0] + 1
    polyp, normal = verdict.clips
    assert polyp.frames == normal.frames == FRAMES and polyp.fps == 25
    assert polyp.changed_outside_px == normal.changed_outside_px == 0
    assert verdict.live is None
    false = normal.false_activations
    lasted_s = (OTHER_FRAMES[1] - OTHER_FRAMES[0] + 1) / 25
    assert [row.count for row in false.counts] == [int(row.min_s <= lasted_s) for row in false.counts]
    assert false.judged_s == pytest.approx(FRAMES / 25)
    assert false.false_frame_share == pytest.approx(lasted_s * 25 / FRAMES)
    found = verdict.lesions_found
    assert (found.of, found.engine, found.reference) == (1, 1, 1)
    assert found.engine_interval is not None and found.engine_interval.low == pytest.approx(0.025)


@pytest.mark.parametrize(
    ("defective", "cause"),
    [
        (lambda sound: HeldEngine(sound, 10), "masks in polyp.mp4 are held: "),
        (lambda sound: DroppingEngine(sound, 5), "marks on lesions flicker 9.58 times a second"),
        (lambda sound: LateEngine(sound, 4), "of 4 frames (160 ms) before best: they come late"),
        (lambda sound: LateEngine(sound, 4), "the first mark on polyp.mp4: polyp comes 160 ms later"),
        (lambda sound: network(another_network), "agree with the reference's to a mean Dice of 0."),
        (lambda sound: network(blind), "it loses polyp.mp4: polyp"),
        (lambda sound: network(nervous), "the engine has 4 false activations of 0.5 s or more"),
        (lambda sound: network(of_nan), "NaN or infinity on 100 frames of polyp.mp4"),
    ],
)
def test_a_defect_fails_and_is_named(prove, defective, cause: str) -> None:
    verdict = prove(defective(network(rounding)))
    assert verdict.passed is False
    assert cause in failures(verdict)


def test_a_delay_within_its_limit_passes(prove) -> None:
    verdict = prove(LateEngine(network(rounding), 2))
    assert verdict.passed is True, verdict.reasons
    assert verdict.clips[0].lag_frames == 2
    assert verdict.lesions[0].engine.first_mark_ms == pytest.approx(80)


def test_what_a_blind_reference_proves_is_undecided(prove) -> None:
    verdict = prove(network(right), network(blind, "b"))
    assert verdict.passed is False, "it has false activations that the reference lacks"
    verdict = prove(network(blind), network(blind, "b"))
    assert verdict.passed == "undecided"
    assert "the reference finds none of the 1 lesions" in failures(verdict)
