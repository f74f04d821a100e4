"""Engines of TensorRT and TensorRT-RTX, built on this machine in FP16 and opened without a passport."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.gpu.opening import EngineName, Opening
from edgeseg.errors import EdgesegError
from edgeseg.export.backends import builder_for
from edgeseg.export.builders.builder import BuildRequest
from edgeseg.export.builders.tensorrt_options import TensorRtOptions
from edgeseg.graph.files import load_onnx
from edgeseg.optional import require
from edgeseg.packages import find_model, onnx_of
from edgeseg.runtime.gpu import find_gpu

MODULES: dict[EngineName, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}


def tensorrt_opening(backend: EngineName, package: Path) -> Opening:
    """Build the package's network here.

    Raises:
        EdgesegError: The backend is not installed, or cannot build.
    """
    assert backend != "torch"
    artifact = load_onnx(onnx_of(find_model(package)))
    capability = find_gpu().compute_capability
    builder, _ = builder_for(backend, TensorRtOptions(batch=(1, 1, 1), compute_capabilities=(capability,)))
    plan = builder.build(BuildRequest(artifact, "fp16")).data
    trt: Any = require(MODULES[backend])
    name = f"{backend} {trt.__version__} FP16"
    return Opening(name, False, artifact, lambda: deserialised(trt, plan))


def deserialised(trt: Any, plan: bytes) -> Any:
    """An ICudaEngine of a plan, in the current context.

    Raises:
        EdgesegError: TensorRT answers with none; it has said why on stderr.
    """
    runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise EdgesegError(f"{trt.__name__} {trt.__version__} does not open the engine that it has just built")
    return engine
