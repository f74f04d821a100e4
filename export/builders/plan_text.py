"""What a TensorRT-RTX plan says of itself in plain text: the layers, with their operand types.

Without a GPU the engine cannot be deserialised, so IEngineInspector is out of reach; the plan holds the same layer
description as text when it was built with detailed profiling.
"""

from __future__ import annotations

import re

_TEXT = re.compile(rb"[\x20-\x7e\t]{5,}")
_TENSOR = re.compile(r"tensor=\{([^\n]*)")
_CONVOLUTION = re.compile(r"^\s*(?:corrltn|deconvolution)=\{([^\n]*)", re.MULTILINE)
_NAME = re.compile(r'name="([^"]+)"')
_TYPE = re.compile(r"\b(?:d?type)=(\S+)")
_INPUT = re.compile(r"input=\{([^}]*)\}")
_QUOTED = re.compile(r'"([^"]+)"')


def convolution_types(plan: bytes) -> list[str]:
    """The operand type of every convolution in a plan, for example ``int8``, ``half``, ``float``.

    Args:
        plan: A serialised TensorRT-RTX engine.

    Returns:
        One type a convolution, in the plan's order; ``?`` where the text does not say.
    """
    text = "\n".join(match.decode() for match in _TEXT.findall(plan))
    types = {}
    for line in _TENSOR.findall(text):
        name, kind = _NAME.search(line), _TYPE.search(line)
        if name and kind:
            types[name.group(1)] = kind.group(1)
    return [_first_operand(line, types) for line in _CONVOLUTION.findall(text)]


def _first_operand(line: str, types: dict[str, str]) -> str:
    operands = _INPUT.search(line)
    names = _QUOTED.findall(operands.group(1)) if operands else []
    return types.get(names[0].removeprefix("^deref"), types.get(names[0], "?")) if names else "?"
