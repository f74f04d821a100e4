"""Engines of TensorRT and TensorRT-RTX, built on this machine in FP16 and opened without a passport."""

from __future__ import annotations

from pathlib import Path

from benchmarks.gpu.opening import EngineName, Opening
from edgeseg.export.backends import builder_for
from edgeseg.export.builders.builder import BuildRequest
from edgeseg.export.builders.tensorrt_options import TensorRtOptions
from edgeseg.graph.files import load_onnx
from edgeseg.optional import require
from edgeseg.packages import find_model, onnx_of
from edgeseg.runtime.bindings import PACKAGES
from edgeseg.runtime.gpu import find_gpu
from edgeseg.runtime.tensorrt_module import open_plan


def tensorrt_opening(backend: EngineName, package: Path) -> Opening:
    """Build the package's network here.

    Raises:
        EdgesegError: The backend is not installed, or cannot build; opened, TensorRT refuses the plan.
    """
    assert backend != "torch"
    artifact = load_onnx(onnx_of(find_model(package)))
    options = TensorRtOptions(batch=(1, 1, 1))
    if backend == "tensorrt-rtx":  # TensorRT itself builds for the GPU that it builds on
        options = options.model_copy(update={"compute_capabilities": (find_gpu().compute_capability,)})
    builder, _ = builder_for(backend, options)
    plan = builder.build(BuildRequest(artifact, "fp16")).data
    trt = require(PACKAGES[backend])
    return Opening(f"{backend} {trt.__version__} FP16", False, artifact, lambda: open_plan(trt, plan))
