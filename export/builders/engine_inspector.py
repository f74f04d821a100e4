"""Which convolutions a TensorRT engine runs on INT8, by IEngineInspector's layer information."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

_ONNX_LAYER = re.compile(r"\[ONNX Layer: ([^\]]*)\]")
_TYPE_KEYS = ("Format/Datatype", "DataType", "Datatype", "Format")
"""10.x has one field for format and type, 11 two."""
_COPIES = ("Reformat", "NoOp", "Constant")


def int8_convolutions(information: str, convolutions: Collection[str]) -> int:
    """Count the convolutions that take int8 data.

    Args:
        information: `EngineInspector.get_engine_information(JSON)` of an engine built with detailed profiling.
        convolutions: The names of the network's convolution nodes.

    Returns:
        How many of them lie in a layer whose data input is int8. Layers that fuse several nodes name all of them.
    """
    wanted, found = set(convolutions), set()
    for layer in json.loads(information).get("Layers", ()):
        if isinstance(layer, dict) and layer.get("LayerType") not in _COPIES and _takes_int8(layer):
            found |= wanted & _nodes(layer)
    return len(found)


def _nodes(layer: dict[str, Any]) -> set[str]:
    """The ONNX nodes of a layer: from its metadata, else from its name, where fused nodes are joined by ``+``."""
    named = set(_ONNX_LAYER.findall(str(layer.get("Metadata", ""))))
    return named or {part.strip() for part in str(layer.get("Name", "")).split("+")}


def _takes_int8(layer: dict[str, Any]) -> bool:
    inputs = layer.get("Inputs") or [{}]
    first = inputs[0] if isinstance(inputs[0], dict) else {}
    return any("int8" in str(first.get(key, "")).lower() for key in _TYPE_KEYS)
