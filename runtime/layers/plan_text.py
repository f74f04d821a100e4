"""What a TensorRT-RTX plan says of itself in plain text: the layers, with their operand types.

Without a GPU the engine cannot be deserialised, so IEngineInspector is out of reach; the plan holds the same layer
description as text when it was built with detailed profiling.
"""

from __future__ import annotations

import re

from edgeseg.runtime.layers.report import Layer, LayerTensor, dtype_of, precision_of

_TEXT = re.compile(rb"[\x20-\x7e\t]{5,}")
_TENSOR = re.compile(r"tensor=\{([^\n]*)")
_LAYER = re.compile(r"^\s*(corrltn|deconvolution|function|copy)=\{([^\n]*)((?:\n\[ONNX Layer: [^\n]*)*)", re.MULTILINE)
_NAME = re.compile(r'name="?([^"\s]+)"?')
_TYPE = re.compile(r"\b(?:d?type)=(\S+)")
_SIZES = re.compile(r"\bdims=\{([^}]*)\}")
_ORDER = re.compile(r"\bstride_order=\{([^}]*)\}")
_INPUT = re.compile(r"\binput(?:_args)?=\{([^}]*)\}")
_OUTPUT = re.compile(r"\boutput(?:_args)?=\{([^}]*)\}")
_QUOTED = re.compile(r'"([^"]+)"')
_NODE = re.compile(r"\[ONNX Layer: ([^\]]*)\]")
_KINDS = {"corrltn": "convolution", "function": "fused kernel"}
CONVOLUTIONS = ("convolution", "deconvolution")


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
    return [layer for layer in layers if layer.type in CONVOLUTIONS or layer.nodes]


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


def _layer(kind: str, line: str, nodes: str, tensors: dict[str, LayerTensor]) -> Layer:
    name = _NAME.search(line)
    inputs, outputs = _named(_INPUT, line, tensors), _named(_OUTPUT, line, tensors)
    named = dict.fromkeys(_NODE.findall(line) + _NODE.findall(nodes))
    return Layer(
        name=name[1] if name else kind,
        type=_KINDS.get(kind, kind),
        precision=precision_of(kind, inputs, outputs),
        nodes=tuple(named),
        inputs=inputs,
        outputs=outputs,
    )


def _named(group: re.Pattern[str], line: str, tensors: dict[str, LayerTensor]) -> tuple[LayerTensor, ...]:
    found = group.search(line)
    names = _QUOTED.findall(found[1]) if found else []
    unknown = LayerTensor(dtype="?")
    return tuple(tensors.get(name.removeprefix("^deref"), tensors.get(name, unknown)) for name in names)
