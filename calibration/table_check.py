"""Refuses a calibration table that does not belong to a network, and a network that is quantised already."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from edgeseg.artifacts import CalibrationTable
from edgeseg.calibration.methods import AUTO_METHOD, METHODS
from edgeseg.calibration.placement import convolutions
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.graph.operators import QUANTISERS
from edgeseg.shell import quoted


def check_table(artifact: OnnxArtifact, table: CalibrationTable, method: str | None = None) -> None:
    """Refuse a table of other weights, of a method that is not here, or of another one than was asked for.

    Args:
        artifact: The network.
        table: What was measured on it.
        method: The calibration method that was asked for; None takes every one.

    Raises:
        BadInputError: This edgeseg does not know the table's method, or a bias that it shifts is not there.
        MismatchError: The weights or the method are others.
    """
    again = f"edgeseg calibrate {quoted(artifact.path)} --data DIR"
    if table.weights_sha256 != artifact.weights_sha256:
        raise MismatchError(
            f"the calibration table was made for other weights than those of {artifact.path}",
            found=f"weights {table.weights_sha256[:12]}",
            expected=f"weights {artifact.weights_sha256[:12]}",
            next_command=f"{again} --out FILE",
        )
    if table.method not in METHODS:
        raise BadInputError(
            "this edgeseg does not know the method of the calibration table",
            found=table.method,
            expected=" or ".join(METHODS),
            next_command=f"{again} --out FILE",
        )
    lengths = {tensor.name: tuple(tensor.dims) for tensor in artifact.proto.graph.initializer}
    biases = {node.name: lengths.get(node.input[2]) for node in convolutions(artifact.proto) if len(node.input) > 2}
    strange = [name for name, shift in (table.bias_shifts or {}).items() if biases.get(name) != (len(shift),)]
    if strange:
        raise BadInputError(
            f"the calibration table shifts a bias that {artifact.path} does not have",
            found=f"{len((table.bias_shifts or {})[strange[0]])} numbers for {strange[0]}",
            expected="one for each output channel of a convolution with a constant bias",
            next_command=f"{again} --out FILE",
        )
    made_by = {table.method, None, AUTO_METHOD if table.method_trial is not None else None}
    if method not in made_by:
        raise MismatchError(
            f"the calibration table was not made with --method {method}",
            found=f"method {table.method}",
            expected=f"method {method}",
            next_command=f"{again} --method {method} --out FILE",
        )


def check_ranges(artifact: OnnxArtifact, table: CalibrationTable, names: Iterable[str]) -> None:
    """Refuse a table that lacks a tensor, as one does that was made before the network's tensors were renamed.

    Args:
        artifact: The network.
        table: What was measured on it.
        names: The tensors that INT8 needs the ranges of.

    Raises:
        BadInputError: One is missing.
    """
    missing = [name for name in names if name not in table.ranges]
    if missing:
        near = get_close_matches(missing[0], table.ranges, n=1, cutoff=0.0)
        raise BadInputError(
            f"the calibration table has no range for {missing[0]}",
            found=f"{len(table.ranges)} tensors" + (f", such as {near[0]}" if near else ""),
            expected=f"a range for every tensor of {artifact.path}; {len(missing)} of them are missing",
            next_command=f"edgeseg calibrate {quoted(artifact.path)} --data DIR --out FILE",
        )


def refuse_quantised(artifact: OnnxArtifact) -> None:
    """Refuse a network that holds QuantizeLinear or DequantizeLinear already.

    Raises:
        BadInputError: It does.
    """
    found = [node for node in artifact.proto.graph.node if node.op_type in QUANTISERS]
    if found:
        raise BadInputError(
            f"{artifact.path} is quantised already",
            found=f"{len(found)} nodes QuantizeLinear and DequantizeLinear, the first {found[0].name} "
            f"before {found[0].output[0]}",
            expected="the float network that it was made from",
            next_command="edgeseg import-onnx FLOAT.onnx --out model.onnx",
        )
