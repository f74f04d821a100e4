"""Bring a graph to the contract's operator set."""

from __future__ import annotations

import re

import onnx
import onnx.version_converter

from edgeseg.errors import BadInputError
from edgeseg.graph.newer_operators import without_newer_operators
from edgeseg.graph.onnx_files import IR_VERSION, OPSETS
from edgeseg.graph.weights import copy_of

READABLE_OPSETS = (11, 24)
"""The oldest and the newest that are taken."""
DEFAULT_DOMAINS = ("", "ai.onnx")


def opset_of(proto: onnx.ModelProto) -> int:
    """The version of the default operator set."""
    return next((int(entry.version) for entry in proto.opset_import if entry.domain in DEFAULT_DOMAINS), 0)


def with_contract_opset(proto: onnx.ModelProto, origin: str) -> onnx.ModelProto:
    """Convert to opset 20 unless it is 19 or 20 already; IR version 10.

    From a newer opset, operators that opset 20 lacks are written out; where the converter has no way down, what is
    left is declared opset 20 if every operator fits it as it stands. The caller compares results either way.

    Args:
        proto: Standard operators only, static shapes.
        origin: The file, for messages.

    Raises:
        BadInputError: The opset is out of reach, or an operator has no conversion; the message names it.
    """
    opset = opset_of(proto)
    copy = copy_of(proto)
    copy.ir_version = IR_VERSION
    del copy.opset_import[:]
    copy.opset_import.append(onnx.helper.make_opsetid("", opset))
    if opset in OPSETS:
        return copy
    older = copy
    try:
        older = without_newer_operators(copy, opset, OPSETS[-1])
        converted = _converted(older)
    except Exception as error:  # the converter raises several unrelated classes
        declared = _declared(older, OPSETS[-1]) if opset > OPSETS[-1] else None
        if declared is None:
            raise BadInputError(
                f"{origin} cannot be brought from opset {opset} to opset {OPSETS[-1]}",
                found=_reason(str(error)),
                expected="a network that onnx.version_converter converts",
                next_command=f"export it again with opset {OPSETS[-1]}",
            ) from error
        converted = declared
    converted.ir_version = IR_VERSION
    return converted


def _converted(proto: onnx.ModelProto) -> onnx.ModelProto:
    typed = onnx.shape_inference.infer_shapes(proto)
    converted: onnx.ModelProto = onnx.version_converter.convert_version(typed, OPSETS[-1])
    onnx.checker.check_model(converted, full_check=True)
    return converted


def _declared(proto: onnx.ModelProto, opset: int) -> onnx.ModelProto | None:
    """The same nodes under an older opset; None where one of them does not fit it."""
    copy = copy_of(proto)
    del copy.opset_import[:], copy.graph.value_info[:]
    copy.opset_import.append(onnx.helper.make_opsetid("", opset))
    try:
        onnx.checker.check_model(copy, full_check=True)
    except Exception:  # the checker raises several unrelated classes
        return None
    return copy


def _reason(message: str) -> str:
    """The operator and the version that a message of the converter names."""
    match = re.search(r"No Adapter (?:For|From|Present)?.*", message, re.IGNORECASE)
    text = match.group(0) if match else message.strip()
    return " ".join(text.split())[:300]
