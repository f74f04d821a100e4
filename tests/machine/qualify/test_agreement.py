"""Two networks without ground truth; the flips are counted by hand."""

from typing import Any

import numpy as np
import pytest

from edgeseg.proof.verdict.agreement import MAX_FLIPPED_SHARE, agree
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.specs import ModelSpec, PreprocessSpec

SIDE = 4
FRAMES = [np.zeros((SIDE, SIDE, 3), np.uint8), np.full((SIDE, SIDE, 3), 200, np.uint8)]


class Fixed:
    """Gives what it was told to, whatever the frame."""

    info = SessionInfo(
        ModelSpec(architecture="fixed", height=SIDE, width=SIDE), PreprocessSpec(), "onnxruntime", "fp32", "0" * 64
    )

    def __init__(self, probability: Any) -> None:
        self._probability = np.asarray(probability, np.float32).reshape(1, 1, SIDE, SIDE)

    def infer(self, frames: Any) -> Any:
        return self._probability

    def close(self) -> None:
        pass


def halves(flipped: int = 0, shift: float = 0.0) -> Engine:
    probability = np.full(SIDE * SIDE, 0.1 + shift)
    probability[: SIDE * SIDE // 2 - flipped] = 0.9
    return engine_of(Fixed(probability))


def test_the_same_network_agrees() -> None:
    found = agree(halves(), halves(), FRAMES, "fp32")
    assert (found.frames, found.flipped_share, found.max_probability_difference) == (2, 0, 0)
    assert (found.frames_with_mask, found.failures()) == (2, [])


@pytest.mark.parametrize(("precision", "passes"), [("fp32", False), ("fp16", False), ("int8", False)])
def test_a_flipped_pixel_of_sixteen_fails(precision: Any, passes: bool) -> None:
    found = agree(halves(flipped=1), halves(), FRAMES, precision)
    assert found.flipped_share == found.worst_flipped_share == 1 / 16
    assert found.limit == MAX_FLIPPED_SHARE[precision]
    assert (found.failures() == []) == passes
    assert found.max_probability_difference == pytest.approx(0.8)


def test_other_probabilities_on_the_same_side_flip_nothing() -> None:
    found = agree(halves(shift=0.2), halves(), FRAMES, "fp32")
    assert found.failures() == [] and found.max_probability_difference == pytest.approx(0.2)


def test_nan_fails_though_its_mask_is_empty() -> None:
    empty = np.zeros(SIDE * SIDE)
    broken = empty.copy()
    broken[3] = np.nan
    found = agree(engine_of(Fixed(broken)), engine_of(Fixed(empty)), FRAMES, "int8")
    assert (found.flipped_share, found.frames_with_mask) == (0, 0)
    assert found.failures() == ["the engine gave NaN or infinity"]


def test_an_engine_that_finds_nothing_fails_though_few_pixels_flip() -> None:
    few = np.zeros(SIDE * SIDE)
    few[0] = 0.9
    found = agree(engine_of(Fixed(np.zeros(SIDE * SIDE))), engine_of(Fixed(few)), FRAMES, "int8")
    found = found.model_copy(update={"limit": 0.5})
    assert (found.frames_with_mask, found.frames_with_engine_mask) == (2, 0)
    assert found.failures() == ["the engine finds nothing on any frame, the reference on 2 of 2"]


class Threshold(Fixed):
    """Marks what is brighter than 100."""

    def infer(self, frames: Any) -> Any:
        return (frames[..., :1] > 100).astype(np.float32).transpose(0, 3, 1, 2)


def test_masks_that_show_nothing_are_doubted() -> None:
    nothing, everything = (engine_of(Fixed(np.full(SIDE * SIDE, level))) for level in (0.0, 1.0))
    (doubt,) = agree(nothing, nothing, FRAMES, "fp32").doubts()
    assert doubt.startswith("the reference finds nothing on any of 2 frames")
    (doubt,) = agree(everything, everything, FRAMES, "fp32").doubts()
    assert doubt.startswith("the reference marks the same pixels on all 2 frames")
    seeing = engine_of(Threshold(np.zeros(SIDE * SIDE)))
    found = agree(seeing, seeing, FRAMES, "fp32")
    assert (found.frames_with_mask, found.doubts()) == (1, [])
