"""Reads the plain text inside a TensorRT-RTX plan: the layers, with their operand types.

Without a GPU the engine cannot be deserialised, so IEngineInspector is out of reach; the plan holds the same layer
description as text when it was built with detailed profiling.
"""

from __future__ import annotations

import math
import re

from edgeseg.export.layers.layer_report import Layer, LayerTensor, dtype_of, precision_of

_TEXT = re.compile(rb"[\x20-\x7e\t]{5,}")
_TENSOR = re.compile(r"tensor=\{([^\n]*)")
_LAYER = re.compile(
    r"^\s*(corrltn|deconvolution|runtime_fusion|function|copy)=\{([^\n]*)((?:\n\[ONNX Layer: [^\n]*)*)", re.MULTILINE
)
_NAME = re.compile(r'name="?([^"\s]+)"?')
_TYPE = re.compile(r"\b(?:d?type)=(\S+)")
_SIZES = re.compile(r"\bdims=\{([^}]*)\}")
_ORDER = re.compile(r"\bstride_order=\{([^}]*)\}")
_INPUT = re.compile(r"\binput(?:_args)?=\{([^}]*)\}")
_OUTPUT = re.compile(r"\boutput(?:_args)?=\{([^}]*)\}")
_QUOTED = re.compile(r'"([^"]+)"')
_NODE = re.compile(r"\[ONNX Layer: ([^\]]*)\]")
_KINDS = {"corrltn": "convolution", "runtime_fusion": "fusion", "function": "fused kernel"}
_UNKNOWN = LayerTensor(dtype="?")
_NO_DATA = ("?", "int64")
"""Types of operands that are shapes."""
_AS_GEMM = "__gemm_from_conv1x1"
CONVOLUTIONS = ("convolution", "deconvolution", "convolution as gemm")


def plan_layers(plan: bytes) -> list[Layer]:
    """The layers of a plan, in its order.

    Args:
        plan: A serialised TensorRT-RTX engine, built with detailed profiling.

    Returns:
        Convolutions, fused kernels and copies of data; what only computes shapes is left out.
    """
    text = "\n".join(match.decode() for match in _TEXT.findall(plan))
    tensors = {}
    for line in _TENSOR.findall(text):
        name, kind = _NAME.search(line), _TYPE.search(line)
        if name and kind:
            tensors[name[1]] = _tensor(line, kind[1])
    layers = [_layer(match[1], match[2], match[3], tensors) for match in _LAYER.finditer(text)]
    convolutions = {layer.name for layer in layers if layer.type in CONVOLUTIONS}
    return [layer for layer in layers if layer.name in convolutions or _tells_more(layer, convolutions)]


def _tells_more(layer: Layer, convolutions: set[str]) -> bool:
    """Tell whether this is neither shape arithmetic nor the shell of a convolution that the plan lists by itself."""
    return bool(layer.nodes) and not (layer.type == "fusion" and convolutions & set(layer.nodes))


def convolution_types(plan: bytes) -> list[str]:
    """The operand type of every convolution in a plan, for example ``int8``, ``fp16``, ``fp32``.

    Returns:
        One type a convolution, in the plan's order; ``?`` where the text does not say.
    """
    return [layer.inputs[0].dtype if layer.inputs else "?" for layer in plan_layers(plan) if layer.type in CONVOLUTIONS]


def _tensor(line: str, kind: str) -> LayerTensor:
    sizes, order = _SIZES.search(line), _ORDER.search(line)
    words = sizes[1].split() if sizes else []
    shape = tuple(int(word) if word.isdigit() else "N" for word in words)
    strides = order[1].split() if order else []
    last = len(strides) == 4 and strides == ["3", "0", "2", "1"]
    return LayerTensor(dtype=dtype_of(kind), shape=shape, format="channels last" if last else "linear")


def _values(tensor: LayerTensor) -> int:
    return math.prod(size for size in tensor.shape if isinstance(size, int))


def _layer(kind: str, line: str, nodes: str, tensors: dict[str, LayerTensor]) -> Layer:
    name = _NAME.search(line)
    inputs, outputs = _named(_INPUT, line, tensors), _named(_OUTPUT, line, tensors)
    named = tuple(dict.fromkeys(_NODE.findall(line) + _NODE.findall(nodes)))
    as_gemm = _AS_GEMM in line and len(named) == 1  # a 1x1 convolution, called after its kernel
    kind = "convolution as gemm" if as_gemm else _KINDS.get(kind, kind)
    return Layer(
        name=named[0] if as_gemm else name[1] if name else kind,
        type=kind,
        precision=precision_of(kind, inputs, outputs),
        nodes=named,
        inputs=inputs,
        outputs=outputs,
    )


def _named(group: re.Pattern[str], line: str, tensors: dict[str, LayerTensor]) -> tuple[LayerTensor, ...]:
    """Data first: a fused kernel may name its constants before."""
    found = group.search(line)
    names = _QUOTED.findall(found[1]) if found else []
    given = [(name, tensors.get(name, tensors.get(name.removeprefix("^deref"), _UNKNOWN))) for name in names]
    ordered = sorted(given, key=lambda item: ("const" in item[0] or item[1].dtype in _NO_DATA, -_values(item[1])))
    return tuple(tensor for _, tensor in ordered)
