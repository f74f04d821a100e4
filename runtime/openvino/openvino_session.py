"""OpenVINO on a CPU. Intel's GPUs and NPUs are other devices of it for the same graph, and were never tried."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeseg.artifacts import EngineArtifact
from edgeseg.errors import BadInputError
from edgeseg.optional import require
from edgeseg.runtime.engine.engine_layout import SessionLayout
from edgeseg.runtime.engine.failures import InferenceFailedError
from edgeseg.runtime.engine.machine import usable_cores
from edgeseg.runtime.engine.session import FrameBatch, ProbabilityBatch, SessionInfo
from edgeseg.runtime.passport.passports import session_info
from edgeseg.specs import INPUT_NAME, OUTPUT_NAME

CPU = "CPU"
"""OpenVINO's name of the device. ``GPU`` and ``NPU`` are Intel's others."""


def compiled(data: bytes, info: SessionInfo, threads: int = 0, device: str = CPU, timed: bool = False) -> Any:
    """Compile a contract graph for one frame at a time: all memory is there before the first one.

    Args:
        data: The ONNX file's bytes; what it refers to outside itself must have been refused.
        info: What it is.
        threads: Inside one inference; 0 takes every usable core.
        device: See `CPU`.
        timed: Whether each layer's time is taken, which costs some.

    Returns:
        An openvino.CompiledModel.

    Raises:
        BadInputError: OpenVINO refuses the graph.
        MissingComponentError: OpenVINO is not installed.
    """
    openvino = require("openvino")
    core = openvino.Core()
    try:
        model = core.read_model(data)
        model.reshape({INPUT_NAME: [1, *info.model.input_shape]})
        return core.compile_model(model, device, _properties(threads, timed) if device == CPU else {})
    except RuntimeError as error:
        raise BadInputError("OpenVINO cannot load this network", found=str(error).strip()[-300:]) from error


def _properties(threads: int, timed: bool) -> dict[str, Any]:
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads or usable_cores(),
        # Pinned threads of several sessions side by side would all wait for the same cores.
        "ENABLE_CPU_PINNING": False,
        # Without this, processors with BF16 would compute float32 engines in it.
        "INFERENCE_PRECISION_HINT": "f32",
        "PERF_COUNT": timed,
    }


class OpenVinoSession:
    """A contract graph loaded by OpenVINO.

    Args:
        data: The ONNX file's bytes.
        info: What it is.
        threads: Threads inside one inference; 0 takes every usable core.
        device: See `CPU`.

    Raises:
        BadInputError: OpenVINO refuses the graph.
        InferenceFailedError: It fails on an empty frame.
        MissingComponentError: OpenVINO is not installed.
    """

    def __init__(self, data: bytes, info: SessionInfo, threads: int = 0, device: str = CPU) -> None:
        self._info = info
        self._request: Any = compiled(data, info, threads, device).create_infer_request()
        # What the binding looks up at its first inference it looks up once a process, behind a lock that it holds
        # while it gives up Python's: two threads there at once wait for each other for good.
        self.infer(np.zeros((1, info.model.height, info.model.width, 3), np.uint8))

    @property
    def info(self) -> SessionInfo:
        """The network and where it runs."""
        return self._info

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        """Run the network, frame by frame: uint8 [N,H,W,3] RGB in, float32 [N,C,H,W] out.

        Raises:
            InferenceFailedError: OpenVINO fails on the frames.
        """
        model = self._info.model
        result: ProbabilityBatch = np.empty((len(frames), model.channels, model.height, model.width), np.float32)
        try:
            for frame, probability in zip(np.ascontiguousarray(frames), result, strict=True):
                self._request.infer({INPUT_NAME: frame[np.newaxis]}, share_inputs=True)
                probability[:] = self._request.get_tensor(OUTPUT_NAME).data[0]
        except Exception as error:  # OpenVINO's have no common base
            raise InferenceFailedError(self._info.backend, error) from error
        return result

    def close(self) -> None:
        """Give the session's memory back."""
        self._request = None


def session_from_engine(data: bytes, passport: EngineArtifact, layout: SessionLayout) -> OpenVinoSession:
    """Open an engine of the backend `openvino`; see `edgeseg.runtime.engine.engine_layout.Opener`."""
    return OpenVinoSession(data, session_info(passport), layout.threads)
