"""The layers that OpenVINO executes, by its own graph of them, and the time of each."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgeseg.artifacts import EngineArtifact
from edgeseg.export.layers.layer_report import INFERENCES, Layer, LayerReport, LayerTensor, report_of
from edgeseg.runtime.engine.machine import describe_machine
from edgeseg.runtime.openvino.openvino_session import compiled
from edgeseg.runtime.passport.passports import session_info
from edgeseg.specs import INPUT_NAME

WARM_UP = 3
_CONVOLUTIONS = ("Convolution", "Deconvolution")
_PRECISIONS = {"f32": "fp32", "f16": "fp16", "i8": "int8", "u8": "uint8", "bf16": "bf16"}
_NOT_EXECUTED = ("Const", "Input", "Parameter", "Output", "Result")


def layers_of_engine(data: bytes, passport: EngineArtifact) -> LayerReport:
    """The layers of an engine of `openvino`, timed here on a frame of noise."""
    model = compiled(data, session_info(passport), timed=True)
    source = f"OpenVINO's profile, median of {INFERENCES} inferences of noise, {describe_machine()}"
    return report_of(passport, executed_layers(model, _times_ms(model, passport)), source)


def int8_convolutions(model: Any) -> int:
    """How many convolutions a compiled model runs on INT8.

    Args:
        model: An openvino.CompiledModel.
    """
    return sum(layer.type in _CONVOLUTIONS and layer.precision == "int8" for layer in executed_layers(model))


def executed_layers(model: Any, times_ms: Mapping[str, float] | None = None) -> list[Layer]:
    """List what a compiled model executes, in its order.

    Args:
        model: An openvino.CompiledModel.
        times_ms: Layer name -> time; a layer that it does not name took none.
    """
    return [
        _layer(operator, times_ms)
        for operator in model.get_runtime_model().get_ordered_ops()
        if _word(operator, "layerType") not in _NOT_EXECUTED
    ]


def _layer(operator: Any, times_ms: Mapping[str, float] | None) -> Layer:
    name = operator.get_friendly_name()
    precision = _named(_word(operator, "runtimePrecision"))
    return Layer(
        name=name,
        type=_word(operator, "layerType"),
        precision="int8" if precision == "uint8" else precision,
        nodes=tuple(filter(None, _word(operator, "originalLayersNames").split(","))),
        inputs=tuple(_tensor(item.get_source_output()) for item in operator.inputs()),
        outputs=tuple(_tensor(item) for item in operator.outputs()),
        time_ms=None if times_ms is None else times_ms.get(name, 0.0),
    )


def _tensor(output: Any) -> LayerTensor:
    layouts = _word(output.get_node(), "outputLayouts").split(",")
    form = layouts[output.get_index()] if output.get_index() < len(layouts) else None
    return LayerTensor(
        dtype=_named(output.get_element_type().get_type_name()), shape=tuple(output.get_shape()), format=form or None
    )


def _word(operator: Any, key: str) -> str:
    facts = operator.get_rt_info()
    return str(facts[key].astype(str)) if key in facts else ""


def _named(precision: str) -> str:
    return _PRECISIONS.get(precision.lower(), precision.lower())


def _times_ms(model: Any, passport: EngineArtifact) -> dict[str, float]:
    frame = np.random.default_rng(0).integers(0, 256, (1, *passport.model.input_shape), dtype=np.uint8)
    request, runs = model.create_infer_request(), []
    for _ in range(WARM_UP + INFERENCES):
        request.infer({INPUT_NAME: frame})
        runs.append({item.node_name: item.real_time.total_seconds() * 1e3 for item in request.get_profiling_info()})
    timed = runs[WARM_UP:]
    return {name: statistics.median(run.get(name, 0.0) for run in timed) for name in timed[-1]}
