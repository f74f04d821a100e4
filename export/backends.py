"""The engine builders by name, and how `auto` chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from edgeseg.artifacts import Precision
from edgeseg.errors import MissingComponentError, UsageError
from edgeseg.export.builders.builder import EngineBuilder
from edgeseg.export.builders.tensorrt_options import TENSORRT, TENSORRT_RTX, TensorRtOptions
from edgeseg.optional import INSTALL_COMMANDS, is_installed

if TYPE_CHECKING:
    from edgeseg.export.builders.tensorrt_builder import TensorRtBuilder

BackendName = Literal["auto", "onnxruntime", "tensorrt", "tensorrt-rtx"]


def builder_for(backend: BackendName, options: TensorRtOptions | None = None) -> tuple[EngineBuilder, str]:
    """The builder of a backend, and why it was chosen.

    Args:
        backend: `auto` takes tensorrt where it and a GPU are here, else onnxruntime.
        options: Options of tensorrt and tensorrt-rtx.

    Raises:
        MissingComponentError: The backend cannot build on this machine.
        UsageError: An option that the backend, or the board, does not have.
    """
    from edgeseg.export.builders.tensorrt_builder import TensorRtBuilder

    if backend == "tensorrt-rtx":
        return TensorRtBuilder(TENSORRT_RTX, options), "asked for"
    if backend == "tensorrt":
        return TensorRtBuilder(TENSORRT, options), "asked for"
    reason = "asked for"
    if backend == "auto":
        try:
            builder = TensorRtBuilder(TENSORRT, options)
        except MissingComponentError as error:
            reason = f"no tensorrt here: {error.found or error.what}"
        else:
            return builder, _why_tensorrt(builder)
    from edgeseg.export.builders.onnxruntime_builder import OnnxRuntimeBuilder

    if options is not None:
        raise UsageError(
            "the backend onnxruntime has no builder options: its engines take any batch and run on any CPU",
            found=f"{' '.join(options.command_line()) or 'options for TensorRT'} (onnxruntime: {reason})",
            expected="--backend tensorrt or tensorrt-rtx",
        )
    return OnnxRuntimeBuilder(), reason


def beside_int8(backend: BackendName) -> Precision:
    """Name the default precision of an INT8 engine's float convolutions; the backend need not be on this machine."""
    if backend == "auto":
        return builder_for(backend)[0].beside_int8
    return "fp32" if backend == "onnxruntime" else "fp16"


def _why_tensorrt(builder: TensorRtBuilder) -> str:
    gpu = "a GPU" if builder.gpu is None else builder.gpu.name
    reason = f"TensorRT {builder.trt.__version__} and {gpu} are here"
    missing = [name for name in ("pycuda", "cuda") if not is_installed(name)]
    if missing:
        reason += f"; to run the engine, {INSTALL_COMMANDS['pycuda.driver']}"
    return reason
