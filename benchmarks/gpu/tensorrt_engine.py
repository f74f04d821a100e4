"""Engines of TensorRT and TensorRT-RTX, built on this machine in FP16 and opened as `edgeseg run` opens them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.gpu.opening import EngineName, Opening
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.export.builders.tensorrt_options import TensorRtOptions
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.packages import find_model, onnx_of
from edgeseg.runtime.cuda.tensorrt_engine import TensorRtEngine
from edgeseg.runtime.passport.gpu import find_gpu
from edgeseg.runtime.passport.passports import read_checked


def tensorrt_opening(backend: EngineName, package: Path) -> Opening:
    """Build the package's network here.

    Raises:
        EdgesegError: The backend is not installed, or cannot build; opened, TensorRT refuses the plan.
    """
    assert backend != "torch"
    options = TensorRtOptions(batch=(1, 1, 1))
    if backend == "tensorrt-rtx":  # TensorRT itself builds for the GPU that it builds on
        options = options.model_copy(update={"compute_capabilities": (find_gpu().compute_capability,)})
    with tempfile.TemporaryDirectory(prefix="edgeseg-gpu-") as folder:
        out = Path(folder, "network.fp16.engine")
        build_engine(package, BuildOptions("fp16", backend, out=out, builder=options))
        plan, passport = read_checked(out)
    name = f"{backend} {passport.backend_version} FP16"
    return Opening(name, False, load_onnx(onnx_of(find_model(package))), lambda: TensorRtEngine(plan, passport))
