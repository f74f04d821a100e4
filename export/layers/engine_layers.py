"""Reads the layers of an engine's file into a report."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from edgeseg.artifacts import EngineArtifact
from edgeseg.errors import MismatchError, MissingComponentError
from edgeseg.export.layers.engine_inspector import engine_information, inspected_layers
from edgeseg.export.layers.layer_report import INFERENCES, LayerReport, LayersOf, report_of
from edgeseg.export.layers.layer_times import measured_ms
from edgeseg.export.layers.plan_text import plan_layers
from edgeseg.optional import require
from edgeseg.runtime.cuda.tensorrt_module import TensorRtModule, open_plan
from edgeseg.runtime.engine.backends import backend_named
from edgeseg.runtime.passport.bindings import check_binding, read_machine
from edgeseg.runtime.passport.gpu import find_gpu
from edgeseg.runtime.passport.passports import read_checked

if TYPE_CHECKING:
    import tensorrt


def layer_report(path: Path) -> LayerReport:
    """The layers of an engine, with their times where this machine can execute it.

    Args:
        path: NAME.engine, with NAME.engine.json beside it.

    Raises:
        MismatchError: The passport is missing or does not fit, or a tensorrt engine is bound to another machine.
        MissingComponentError: A tensorrt engine, and no TensorRT or GPU here: only there does it tell its layers.
    """
    data, passport = read_checked(path)
    tell: LayersOf = backend_named(passport.backend).load("layers")
    return tell(data, passport)


def tensorrt_layers(data: bytes, passport: EngineArtifact) -> LayerReport:
    """The layers of an engine of `tensorrt`, which tells them only on the GPU that executes it."""
    check_binding(passport, read_machine(passport.backend))
    return _executed(data, passport)


def tensorrt_rtx_layers(data: bytes, passport: EngineArtifact) -> LayerReport:
    """The layers of an engine of `tensorrt-rtx`: read from the file where no GPU here executes it."""
    try:
        check_binding(passport, read_machine(passport.backend))
    except (MissingComponentError, MismatchError) as error:
        return report_of(passport, plan_layers(data), None, f"not executed: {error.what}")
    return _executed(data, passport)


def _executed(data: bytes, passport: EngineArtifact) -> LayerReport:
    """Open the engine on the GPU, ask its inspector, and time it where the packages for that are here."""
    trt = cast(TensorRtModule, require(backend_named(passport.backend).package))
    batch = int(passport.build_flags.get("batch", (1, 1, 1))[1])
    try:
        times_ms, information = _timed(trt, data, passport, batch)
    except (MissingComponentError, MismatchError) as error:
        layers = inspected_layers(engine_information(trt, _opened(trt, data, passport)))
        return report_of(passport, layers, None, f"not executed: {error.what}")
    source = f"IProfiler of {passport.backend} {passport.backend_version}, median of {INFERENCES} inferences"
    layers = inspected_layers(information, times_ms)
    return report_of(passport, layers, f"{source}, {find_gpu().name}", frames_per_inference=batch)


def _timed(trt: TensorRtModule, data: bytes, passport: EngineArtifact, batch: int) -> tuple[dict[str, float], str]:
    """The time of each layer, and what the inspector tells."""
    from edgeseg.runtime.cuda.buffers import device_buffer
    from edgeseg.runtime.cuda.driver import CudaDevice

    shapes = {
        item.name: tuple(batch if size < 0 else size for size in item.shape)
        for item in (*passport.inputs, *passport.outputs)
    }
    item_bytes = {item.name: np.dtype(item.dtype).itemsize for item in (*passport.inputs, *passport.outputs)}
    inputs = {item.name: shapes[item.name] for item in passport.inputs}
    with CudaDevice(), contextlib.ExitStack() as memory:
        addresses = {
            name: device_buffer(memory, math.prod(shape) * item_bytes[name], f"the engine's {name}")
            for name, shape in shapes.items()
        }
        engine = _opened(trt, data, passport)
        times_ms = measured_ms(trt, engine, inputs, addresses.__getitem__, INFERENCES)
        return times_ms, engine_information(trt, engine)


def _opened(trt: TensorRtModule, data: bytes, passport: EngineArtifact) -> tensorrt.ICudaEngine:
    return open_plan(trt, data, host_code=bool(passport.build_flags.get("version_compatible")))
