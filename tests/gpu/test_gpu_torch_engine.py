"""The benchmarks' stand-in engine in lanes on the GPU: torch's kernels in the lane's graph give the network's masks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_gpu_lanes import noise

from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.one_frame import probability_of
from edgeseg.runtime.opener.engine_from_file import open_engine

PACKAGE = Path(__file__).parents[2] / "models" / "kvasir-small"
FP16_TOLERANCE = 0.05
REPEATED_TOLERANCE = 1e-3
"""The tolerated difference on the same frame: torch's kernels add up in another order, and no more."""
FRAMES = [noise(1080, 1920, seed) for seed in range(4)]


@pytest.fixture(scope="module")
def opening(device: Any) -> Iterator[Any]:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch has no GPU here")
    from benchmarks.gpu.opening import opening_for

    yield opening_for("torch", PACKAGE)


def test_it_is_onnxruntimes_network_and_named_a_stand_in(opening: Any) -> None:
    assert opening.stand_in and "stand-in" in opening.name
    reference = open_engine(PACKAGE)
    session = opening.session(lanes=1)
    for frame in FRAMES:
        session.start(PackedFrame(frame, "rgb"))
        np.testing.assert_allclose(
            session.finish().probability, probability_of(reference, PackedFrame(frame, "rgb")), atol=FP16_TOLERANCE
        )
    session.close()


def test_lanes_do_not_share_their_memory(opening: Any) -> None:
    session = opening.session(lanes=3)
    first = []
    for index in range(300 + 3):
        if index >= 3:
            found = session.finish().probability.copy()
            if index < 3 + len(FRAMES):
                first.append(found)
            np.testing.assert_allclose(found, first[(index - 3) % len(FRAMES)], atol=REPEATED_TOLERANCE)
        if index < 300:
            session.start(PackedFrame(FRAMES[index % len(FRAMES)], "rgb"))
    session.close()
