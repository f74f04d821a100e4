from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from edgeseg.runtime.live.scene.refine import SceneRefiner
from edgeseg.runtime.live.scene.stabilise import ProbabilityStabiliser
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import SourceFrame

PICTURE = Picture.of_bgr(np.random.default_rng(0).integers(0, 255, (90, 160, 3), np.uint8)).planar()


@pytest.mark.parametrize(("gap_s", "is_forgotten"), [(0.04, False), (2.0, True)])
def test_what_was_marked_before_a_gap_does_not_live_on(gap_s: float, is_forgotten: bool) -> None:
    refiner = SceneRefiner(None, ProbabilityStabiliser())
    for number, value in enumerate((0.9, 0.1)):
        arrived_ns = 10**12 + round(number * gap_s * 1e9)
        frame = SourceFrame(number, arrived_ns, arrived_ns, number, Fraction(1, 25), PICTURE)
        steadied = refiner.probability(frame, np.full((1, 8, 8), value, np.float32))
    assert bool(np.allclose(steadied, 0.1)) == is_forgotten
