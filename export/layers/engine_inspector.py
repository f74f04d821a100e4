"""The layers of a TensorRT engine, by IEngineInspector's layer information."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from edgeseg.export.layers.layer_report import Layer, LayerTensor, dtype_of, precision_of
from edgeseg.runtime.cuda.tensorrt_module import TensorRtModule

if TYPE_CHECKING:
    import tensorrt

_ONNX_LAYER = re.compile(r"\[ONNX Layer: ([^\]]*)\]")
_TYPE_KEYS = ("Format/Datatype", "DataType", "Datatype", "Format")
"""10.x has one field for format and type, 11 two."""
_COPIES = ("Reformat", "NoOp", "Constant")


def engine_information(trt: TensorRtModule, engine: tensorrt.ICudaEngine) -> str:
    """The layer information of an open engine, as JSON."""
    return str(engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON))


def inspected_layers(information: str, times_ms: Mapping[str, float] | None = None) -> list[Layer]:
    """The layers of an engine built with detailed profiling.

    Args:
        information: What `engine_information` gave.
        times_ms: Layer name -> mean time, of IProfiler; a layer that it does not name took none.

    Returns:
        In the engine's order. Of a layer that the engine gives as a bare name only that is known.
    """
    entries = json.loads(information).get("Layers", ())
    return [_layer(entry if isinstance(entry, dict) else {"Name": str(entry)}, times_ms) for entry in entries]


def int8_convolutions(information: str, convolutions: Collection[str]) -> int:
    """Count the convolutions that take int8 data.

    Args:
        information: What `engine_information` gave.
        convolutions: The names of the network's convolution nodes.

    Returns:
        How many of them lie in a layer whose data input is int8. Layers that fuse several nodes name all of them.
    """
    wanted, found = set(convolutions), set()
    for layer in inspected_layers(information):
        if layer.type not in _COPIES and layer.inputs and layer.inputs[0].dtype == "int8":
            found |= wanted & set(layer.nodes)
    return len(found)


def _layer(entry: dict[str, Any], times_ms: Mapping[str, float] | None) -> Layer:
    name, kind = str(entry.get("Name", "")), str(entry.get("LayerType", "unknown"))
    inputs, outputs = _tensors(entry.get("Inputs")), _tensors(entry.get("Outputs"))
    return Layer(
        name=name,
        type=kind,
        precision=precision_of(kind, inputs, outputs),
        nodes=_nodes(entry),
        inputs=inputs,
        outputs=outputs,
        time_ms=None if times_ms is None else times_ms.get(name, 0.0),
    )


def _nodes(entry: dict[str, Any]) -> tuple[str, ...]:
    """The ONNX nodes of a layer: from its metadata, else from its name, where fused nodes are joined by ``+``."""
    named = _ONNX_LAYER.findall(str(entry.get("Metadata", "")))
    return tuple(dict.fromkeys(named or (part.strip() for part in str(entry.get("Name", "")).split("+"))))


def _tensors(entries: Any) -> tuple[LayerTensor, ...]:
    return tuple(_tensor(entry) for entry in entries or () if isinstance(entry, dict))


def _tensor(entry: dict[str, Any]) -> LayerTensor:
    words = [str(entry[key]) for key in _TYPE_KEYS if key in entry]
    shape = tuple(size if isinstance(size, int) else str(size) for size in entry.get("Dimensions", ()))
    form = entry.get("Format", entry.get("Format/Datatype"))
    return LayerTensor(dtype=dtype_of(" ".join(words)), shape=shape, format=None if form is None else str(form))
