"""The engine builders by name, and how `auto` chooses."""

from __future__ import annotations

from typing import Literal

from edgeseg.errors import MissingComponentError
from edgeseg.export.builders.builder import EngineBuilder
from edgeseg.optional import require

BackendName = Literal["auto", "onnxruntime", "tensorrt", "tensorrt-rtx"]


def builder_for(backend: BackendName) -> tuple[EngineBuilder, str]:
    """The builder of a backend, and why it was chosen.

    Raises:
        MissingComponentError: The backend cannot build on this machine.
    """
    if backend == "tensorrt-rtx":
        from edgeseg.export.builders.tensorrt_rtx_builder import TensorRtRtxBuilder

        require("tensorrt_rtx")
        return TensorRtRtxBuilder(), "asked for"
    if backend == "tensorrt":
        require("tensorrt")
        raise MissingComponentError(
            "this edgeseg has no builder for the backend tensorrt yet",
            next_command="edgeseg build-engine MODEL --backend tensorrt-rtx, or --backend onnxruntime",
        )
    from edgeseg.export.builders.onnxruntime_builder import OnnxRuntimeBuilder

    reason = "asked for" if backend == "onnxruntime" else "no TensorRT with a GPU is used by this edgeseg yet"
    return OnnxRuntimeBuilder(), reason
