"""The resize as a graph against the resize that everything else shares."""

from __future__ import annotations

import hypothesis
import numpy as np
import onnxruntime
import pytest
from hypothesis import strategies as st

from edgeseg.export.serving.resize_graph import resize_graph
from edgeseg.frames import resize_to_network
from edgeseg.specs import Crop, ModelMetadata, ModelSpec, PreprocessSpec

HEIGHT, WIDTH = 24, 40
CROP = Crop(top=3, left=5, height=70, width=90)


def session(crop: Crop | None = None) -> onnxruntime.InferenceSession:
    model = ModelSpec(architecture="any", height=HEIGHT, width=WIDTH)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    graph = resize_graph(ModelMetadata(model=model, preprocess=PreprocessSpec(crop=crop)))
    return onnxruntime.InferenceSession(graph.SerializeToString(), options)


RESIZE = session()


@hypothesis.settings(max_examples=40)
@hypothesis.given(height=st.integers(1, 220), width=st.integers(1, 400), batch=st.integers(1, 2), seed=st.integers(0))
@hypothesis.example(height=HEIGHT, width=WIDTH, batch=1, seed=0)
@hypothesis.example(height=4 * HEIGHT + 1, width=8 * WIDTH + 3, batch=2, seed=0)
@hypothesis.example(height=1, width=1, batch=1, seed=0)
def test_every_pixel_of_every_size_is_the_same(height: int, width: int, batch: int, seed: int) -> None:
    frames = np.random.default_rng(seed).integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
    found, size = RESIZE.run(["network_input", "frame_size"], {"frame": frames})
    assert np.array_equal(found, np.stack([resize_to_network(frame, HEIGHT, WIDTH) for frame in frames]))
    assert size.tolist() == [[height, width]] * batch


def test_a_crop_is_taken_first() -> None:
    frame = np.random.default_rng(1).integers(0, 256, (80, 110, 3), dtype=np.uint8)
    found = session(CROP).run(["network_input"], {"frame": frame[np.newaxis]})[0]
    assert np.array_equal(found[0], resize_to_network(frame, HEIGHT, WIDTH, CROP))


def test_a_frame_that_ends_before_the_crop_is_refused() -> None:
    with pytest.raises(Exception, match="Reshape"):
        session(CROP).run(["network_input"], {"frame": np.zeros((1, 60, 110, 3), np.uint8)})
