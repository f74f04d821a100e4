"""Finds the first layer at which two graphs of one network disagree."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import onnx
import pydantic

from edgeseg.artifacts import Precision
from edgeseg.errors import MismatchError
from edgeseg.frames import Frame
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.progress import Track, silent
from edgeseg.proof.bisect.layer_errors import LayerError, layer_errors
from edgeseg.proof.bisect.likely_cause import likely_cause
from edgeseg.values import Part, Value

FLOORS_DB: Mapping[Precision, float] = {"fp32": 60.0, "fp16": 35.0, "int8": 10.0}
"""Precision -> signal to noise ratio below which a layer disagrees.

Rounding alone leaves the shipped packages at 17 dB and more in INT8, at 46 and more in FP16, layer by layer.
"""
FEWEST_SHARED = 2


class LayerAgreement(Part):
    """How far one layer of the judged graph is from the same layer of the reference."""

    layer: str
    """The reference's node."""
    operator: str
    tensor: str
    sqnr_db: float | None
    """Signal to noise ratio of the values that later layers read; None where they are the same, or not finite."""
    before_rounding_sqnr_db: float | None
    """The same before QuantizeLinear and DequantizeLinear; None without them, and as above."""
    finite: bool
    lowest: float
    highest: float
    """The reference's smallest and largest value."""


class Bisection(Value):
    """The place at which two graphs of a network part, layer by layer on the same frames."""

    agrees: bool
    layer: str | None
    """The first layer that disagrees though all that it reads agrees; None where none does."""
    cause: str
    """The likely cause in words; what was found least alike where all layers agree."""
    floor_db: float
    """Layers of a lower signal to noise ratio disagree."""
    precision: Precision
    frames: int = pydantic.Field(gt=0)
    reference_sha256: str
    judged_sha256: str
    layers: tuple[LayerAgreement, ...]
    """Every layer that both graphs have, in the reference's order."""


def bisect(
    reference: OnnxArtifact,
    judged: onnx.ModelProto,
    judged_sha256: str,
    precision: Precision,
    frames: Sequence[Frame],
    track: Track = silent,
) -> Bisection:
    """Compare two graphs layer by layer.

    Layers are paired by the name of the tensor that they give, so that both graphs must come from one export.

    Args:
        reference: The float32 network.
        judged: The graph that is judged, as its engine holds it.
        judged_sha256: Names it in the result.
        precision: What is expected of it.
        frames: uint8 [H,W,3] RGB at the network's size; at least one.
        track: Draws the progress.

    Raises:
        MismatchError: The graphs share hardly a tensor.
    """
    errors = layer_errors(reference.proto, judged, frames, track)
    if len(errors) < FEWEST_SHARED:
        raise MismatchError(
            "the two graphs cannot be compared layer by layer",
            found=f"{len(errors)} tensors of the same name and shape",
            expected="two graphs of one export, whose tensors kept their names",
        )
    floor = FLOORS_DB[precision]
    culprit = first_disagreement(errors, floor)
    if culprit is None:
        least = min(errors, key=lambda error: error.seen.sqnr_db)
        if least.seen.noise == 0:
            cause = "every layer gives the same values"
        else:
            cause = f"least alike is {named(least)}, with a signal to noise ratio of {least.seen.sqnr_db:.1f} dB"
    else:
        cause = likely_cause(culprit, reference.proto, judged)
    return Bisection(
        agrees=culprit is None,
        layer=None if culprit is None else culprit.node.name,
        cause=cause,
        floor_db=floor,
        precision=precision,
        frames=len(frames),
        reference_sha256=reference.sha256,
        judged_sha256=judged_sha256,
        layers=tuple(_agreement(error) for error in errors),
    )


def first_disagreement(errors: Iterable[LayerError], floor_db: float) -> LayerError | None:
    """The first layer below the floor all of whose inputs are above it; the graph's order is kept."""
    wrong: set[str] = set()
    for error in errors:
        if error.seen.sqnr_db < floor_db:
            if not wrong.intersection(error.node.input):
                return error
            wrong.add(error.tensor)
    return None


def named(error: LayerError) -> str:
    """``the Conv encoder.0``."""
    return f"the {error.node.op_type} {error.node.name}"


def _agreement(error: LayerError) -> LayerAgreement:
    return LayerAgreement(
        layer=error.node.name,
        operator=error.node.op_type,
        tensor=error.tensor,
        sqnr_db=_finite(error.seen.sqnr_db),
        before_rounding_sqnr_db=None if error.rounded is None else _finite(error.computed.sqnr_db),
        finite=error.seen.finite,
        lowest=error.lowest,
        highest=error.highest,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
