"""The mask as a graph against the mask rule that everything else shares."""

from __future__ import annotations

import hypothesis
import numpy as np
import onnxruntime
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeseg.export.serving.mask_graph import mask_graph
from edgeseg.frames import mask_from_probability, scale_plane
from edgeseg.runtime.engine.session import SessionInfo, mask_at_frame
from edgeseg.specs import Crop, ModelMetadata, ModelSpec, PreprocessSpec

HEIGHT, WIDTH = 12, 20
ROUNDING = 1e-4
"""More than two libraries' float32 differ by between pixels; their positions are rounded differently."""


def metadata(classes: tuple[str, ...], crop: Crop | None = None) -> ModelMetadata:
    output = "sigmoid" if len(classes) == 1 else "softmax"
    model = ModelSpec(architecture="any", classes=classes, height=HEIGHT, width=WIDTH, output=output)
    return ModelMetadata(model=model, preprocess=PreprocessSpec(crop=crop))


def session(described: ModelMetadata) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(mask_graph(described).SerializeToString())


ONE, SEVERAL = session(metadata(("polyp",))), session(metadata(("background", "cat", "dog")))


def run(graph: onnxruntime.InferenceSession, probability: NDArray[np.float32], *size: int) -> NDArray[np.uint8]:
    sizes = np.array([size] * len(probability), np.int64)
    found = graph.run(["mask"], {"probability": probability, "frame_size": sizes})[0]
    assert found.dtype == np.uint8 and found.shape == (len(probability), *size)
    return np.asarray(found)


@hypothesis.settings(max_examples=40)
@hypothesis.given(height=st.integers(1, 90), width=st.integers(1, 90), seed=st.integers(0), batch=st.integers(1, 2))
@hypothesis.example(height=HEIGHT, width=WIDTH, seed=0, batch=1)
def test_every_pixel_that_rounding_does_not_decide_is_the_same(height: int, width: int, seed: int, batch: int) -> None:
    probability = np.random.default_rng(seed).random((batch, 1, HEIGHT, WIDTH), np.float32)
    for mask, one in zip(run(ONE, probability, height, width), probability, strict=True):
        undecided = np.abs(scale_plane(one[0], height, width) - 0.5) < ROUNDING
        assert ((mask == mask_from_probability(one, height, width)) | undecided).all()
        assert set(np.unique(mask)) <= {0, 255}


def test_exactly_one_half_is_marked() -> None:
    probability = np.full((1, 1, HEIGHT, WIDTH), 0.5, np.float32)
    assert (run(ONE, probability, HEIGHT, WIDTH) == 255).all()
    assert (run(ONE, np.nextafter(probability, 0, dtype=np.float32), HEIGHT, WIDTH) == 0).all()


@hypothesis.settings(max_examples=40)
@hypothesis.given(height=st.integers(1, 60), width=st.integers(1, 60), seed=st.integers(0))
def test_of_several_classes_the_largest_wins(height: int, width: int, seed: int) -> None:
    probability = np.random.default_rng(seed).random((1, 3, HEIGHT, WIDTH), np.float32)
    planes = np.sort(np.stack([scale_plane(plane, height, width) for plane in probability[0]]), axis=0)
    undecided = planes[-1] - planes[-2] < ROUNDING
    same = run(SEVERAL, probability, height, width)[0] == mask_from_probability(probability[0], height, width)
    assert (same | undecided).all()


def test_outside_a_crop_nothing_is_marked() -> None:
    described = metadata(("polyp",), Crop(top=3, left=5, height=30, width=40))
    probability = (np.random.default_rng(2).random((1, 1, HEIGHT, WIDTH)) > 0.5).astype(np.float32)
    info = SessionInfo(described.model, described.preprocess, "onnxruntime", "fp32", "0" * 64)
    mask = run(session(described), probability, 50, 60)[0]
    assert np.array_equal(mask, mask_at_frame(info, probability[0], 50, 60)) and mask.any()
