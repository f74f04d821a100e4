"""Refuses a calibration table that does not belong to a network."""

from __future__ import annotations

from edgeseg.artifacts import CalibrationTable
from edgeseg.calibration.methods import METHODS
from edgeseg.calibration.placement import convolutions
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.graph.onnx_files import OnnxArtifact
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
    if method is not None and table.method != method:
        raise MismatchError(
            f"the calibration table was not made with --method {method}",
            found=f"method {table.method}",
            expected=f"method {method}",
            next_command=f"{again} --method {method} --out FILE",
        )
