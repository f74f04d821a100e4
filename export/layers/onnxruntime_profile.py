"""The layers that ONNX Runtime executes, and the time of each, by its own profile."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edgeseg.artifacts import EngineArtifact
from edgeseg.export.layers.layer_report import (
    INFERENCES,
    Layer,
    LayerReport,
    LayerTensor,
    dtype_of,
    precision_of,
    report_of,
)
from edgeseg.runtime.engine.machine import describe_machine
from edgeseg.runtime.onnxruntime.onnxruntime_session import opened, session_options
from edgeseg.specs import INPUT_NAME, ModelSpec

_KERNEL = "_kernel_time"
_FORMATS = {"com.microsoft.nchwc": "channels in blocks", "com.ms.internal.nhwc": "channels last"}
"""Domain of an optimised node -> how its tensors lie in memory."""


def layers_of_engine(data: bytes, passport: EngineArtifact) -> LayerReport:
    """The layers of an engine of `onnxruntime`, timed here."""
    source = f"ONNX Runtime's profile, median of {INFERENCES} inferences of noise, {describe_machine()}"
    return report_of(passport, profiled_layers(data, passport.model), source)


def profiled_layers(data: bytes, model: ModelSpec, inferences: int = INFERENCES, warm_up: int = 3) -> list[Layer]:
    """Run an engine on a frame of noise and read what it executed.

    Args:
        data: The engine, an ONNX file.
        model: Its network.
        inferences: How many are timed; each layer's time is the median over them.
        warm_up: How many go before.

    Returns:
        In the order of execution.
    """
    frame = np.random.default_rng(0).integers(0, 256, (1, *model.input_shape), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        options = session_options()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        session = opened(data, options)
        for _ in range(warm_up + inferences):
            session.run(None, {INPUT_NAME: frame})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        executed = onnx.load_model_from_string(Path(options.optimized_model_filepath).read_bytes()).graph.node
    names = [node.name for node in onnx.load_model_from_string(data).graph.node]
    formats = {node.name: _format(node) for node in executed if node.name}
    return _layers(events, names, formats, warm_up)


def _layers(
    events: list[dict[str, Any]], names: Collection[str], formats: Mapping[str, str | None], warm_up: int
) -> list[Layer]:
    """One layer a node, which the profile numbers; its events come once an inference."""
    found: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith(_KERNEL):
            found.setdefault(event["args"]["node_index"], []).append(event)
    return [_layer(group, names, formats, warm_up) for group in found.values()]


def _layer(
    group: list[dict[str, Any]], names: Collection[str], formats: Mapping[str, str | None], warm_up: int
) -> Layer:
    name, facts = group[-1]["name"].removesuffix(_KERNEL), group[-1]["args"]
    form = formats.get(name)
    inputs, outputs = (_tensors(facts[key], form) for key in ("input_type_shape", "output_type_shape"))
    return Layer(
        name=name,
        type=facts["op_name"],
        precision=precision_of(facts["op_name"], inputs, outputs),
        nodes=_node_of(name, names),
        inputs=inputs,
        outputs=outputs,
        time_ms=statistics.median(event["dur"] for event in group[warm_up:]) / 1e3,
    )


def _tensors(entries: list[dict[str, list[int]]], form: str | None) -> tuple[LayerTensor, ...]:
    return tuple(
        LayerTensor(dtype=dtype_of(kind), shape=tuple(shape), format=form if len(shape) == 4 else None)
        for entry in entries
        for kind, shape in entry.items()
    )


def _node_of(name: str, names: Collection[str]) -> tuple[str, ...]:
    """The engine's node that an optimised one was made from: the optimiser appends to its name."""
    parents = [given for given in names if given and (name == given or name.startswith((f"{given}_", f"{given}.")))]
    return (max(parents, key=len),) if parents else ()


def _format(node: onnx.NodeProto) -> str | None:
    last = any(entry.name == "channels_last" and entry.i for entry in node.attribute)
    return "channels last" if last else _FORMATS.get(node.domain)
