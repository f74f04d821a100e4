"""Tries whether TensorRT and TensorRT-RTX run on this machine: imported, built, opened, run; or where that ended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.gpu.frames import some_frames
from benchmarks.gpu.opening import EngineName, Opening
from edgeseg.optional import require
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.one_frame import probability_of
from edgeseg.runtime.opener.engine_from_file import open_engine

FP16_TOLERANCE = 0.05
"""Largest difference in probability, as for every FP16 engine here."""


@dataclass(frozen=True)
class Probe:
    """How far an engine of one backend came."""

    backend: str
    step: str
    """The last one that was tried: import, build, run."""
    runs: bool
    said: str
    """The version, or the error."""


def probed(backend: EngineName, package: Path, open_backend: Callable[[EngineName, Path], Opening]) -> Probe:
    """Try one backend.

    Args:
        backend: Which.
        package: Its network.
        open_backend: Builds an engine; `tensorrt_engine.tensorrt_opening`.
    """
    step = "import"
    try:
        version = require(backend.replace("-", "_")).__version__
        step = "build"
        opening = open_backend(backend, package)
        step = "run"
        worst = _worst_difference(opening)
    except Exception as error:  # whatever happens is the answer
        return Probe(backend, step, False, f"{type(error).__name__}: {error}"[:600])
    if worst > FP16_TOLERANCE:
        return Probe(backend, step, False, f"{version}: a probability differs by {worst:.3f} from ONNX Runtime's")
    return Probe(backend, step, True, f"{version}: a probability differs by {worst:.4f} from ONNX Runtime's at most")


def _worst_difference(opening: Opening) -> float:
    (frame,) = some_frames(1080, 1920, 1)
    expected = probability_of(open_engine(opening.artifact.path), PackedFrame(frame, "rgb"))
    with contextlib.closing(opening.session(lanes=1)) as session:
        session.start(PackedFrame(frame, "rgb"))
        return float(np.abs(session.finish().probability - expected).max())
