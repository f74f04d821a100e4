"""Examines a foreign network's output: its size, and whether its values are what the user says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import BadInputError
from edgeseg.export.foreign.foreign_graph import PreparedNetwork
from edgeseg.export.foreign.foreign_options import ImportOptions
from edgeseg.graph.foreign import PICTURE_RANK, TO_PLANES, ForeignInput
from edgeseg.shell import quoted

MOST_CHANNELS = 256
"""A mask holds the class index in a byte."""
LARGEST_FACTOR = 32
PROBABILITY_SLACK = 1e-3
"""FP16 rounds a softmax that far beyond 1."""
SUM_SLACK = 1e-2
EXPECTED = "float [N,C,H,W], [N,H,W,C] or [N,H,W]"
Layout = Literal["planes", "pixels", "single"]


@dataclass(frozen=True)
class OutputForm:
    """How a foreign network's output lies in memory, and its size."""

    layout: Layout
    """[N,C,h,w], [N,h,w,C] or [N,h,w]."""
    channels: int
    """All that there are."""
    times: tuple[int, int]
    """How many times smaller than the input, in height and in width."""

    def as_planes(self, values: NDArray[Any]) -> NDArray[Any]:
        """The output as [N,C,h,w]."""
        if self.layout == "single":
            return values[:, np.newaxis]
        return values.transpose(TO_PLANES) if self.layout == "pixels" else values


def output_form(result: NDArray[Any], network: PreparedNetwork, origin: str) -> OutputForm:
    """Channels, layout and size of an output.

    Args:
        result: What the network gave for one batch of its own size.
        network: Its input.
        origin: The file, for messages.

    Raises:
        BadInputError: No float picture of the input's size or of a whole fraction.
    """
    found = f"{network.output}: {result.dtype} {list(result.shape)}"
    what = f"the output of {origin} is no map of classes over the picture"
    if result.dtype not in (np.float32, np.float16, np.float64):
        raise BadInputError(
            what,
            found=f"{found}, which looks like class indices",
            expected=EXPECTED,
            next_command=f"edgeseg import-onnx {quoted(origin)} --out model.onnx --output-name TENSOR, "
            "with the tensor that holds the logits, before they are compared",
        )
    forms = [form for form in _forms(result.shape, network.shape) if form is not None]
    if not forms:
        _refuse(result.shape, network.shape, what, found, origin)
    even = [form for form in forms if form.times[0] == form.times[1]]
    form = (even or forms)[0]
    if not 0 < form.channels <= MOST_CHANNELS:
        raise BadInputError(what, found=found, expected=f"1 to {MOST_CHANNELS} channels")
    return form


def _forms(shape: tuple[int, ...], picture: ForeignInput) -> list[OutputForm | None]:
    """List what a shape can be, the likeliest first."""
    if len(shape) == PICTURE_RANK - 1:
        rows_columns = _times(shape[1], shape[2], picture)
        return [None if rows_columns is None else OutputForm("single", 1, rows_columns)]
    if len(shape) != PICTURE_RANK:
        return []
    planes, pixels = _times(shape[2], shape[3], picture), _times(shape[1], shape[2], picture)
    forms = [
        None if planes is None else OutputForm("planes", shape[1], planes),
        None if pixels is None else OutputForm("pixels", shape[3], pixels),
    ]
    return forms[::-1] if picture.nhwc else forms


def _times(rows: int, columns: int, picture: ForeignInput) -> tuple[int, int] | None:
    factors = picture.height // max(rows, 1), picture.width // max(columns, 1)
    whole = (rows * factors[0], columns * factors[1]) == (picture.height, picture.width)
    return factors if whole and max(factors) <= LARGEST_FACTOR else None


def _refuse(shape: tuple[int, ...], picture: ForeignInput, what: str, found: str, origin: str) -> NoReturn:
    if len(shape) not in (PICTURE_RANK - 1, PICTURE_RANK):
        raise BadInputError(
            what,
            found=found,
            expected=EXPECTED,
            next_command=f"edgeseg import-onnx {quoted(origin)} --out model.onnx --output-name TENSOR",
        )
    raise BadInputError(
        f"the output of {origin} is of another size than its input",
        found=found,
        expected=f"{picture.width}x{picture.height} (width x height) or a whole fraction, "
        f"at most {LARGEST_FACTOR} times smaller",
        next_command="export it again with its output enlarged to the input's size",
    )


def check_meaning(values: Sequence[NDArray[Any]], options: ImportOptions, origin: str) -> tuple[str, ...]:
    """Hold what the user says of the output against what the network gives.

    Args:
        values: [N,C,h,w] each, as the network gives them.
        options: Says logits or probability.
        origin: The file, for messages.

    Returns:
        Warnings, for what is odd and yet possible.

    Raises:
        BadInputError: Values that are not finite, or that are no probabilities where some were promised.
    """
    low, high = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
    if not np.isfinite((low, high)).all():
        raise BadInputError(f"{origin} gives values that are not finite", found=f"{low:.4g} to {high:.4g}")
    inside = low >= -PROBABILITY_SLACK and high <= 1 + PROBABILITY_SLACK
    if options.output == "probability" and not inside:
        raise BadInputError(
            f"{origin} does not give probabilities; these are logits",
            found=f"values from {low:.4g} to {high:.4g}",
            expected="values in 0..1",
            next_command="say --output logits",
        )
    several = values[0].shape[1] > 1
    error = max(float(np.abs(v.astype(np.float32).sum(axis=1) - 1).max()) for v in values)
    if options.output == "probability" and several and error > SUM_SLACK:
        raise BadInputError(
            f"the classes of {origin} do not share one probability",
            found=f"sums over the channels that are off 1 by up to {error:.3g}",
            expected="a softmax, whose channels sum to 1; edgeseg has no masks that overlap",
            next_command=f"edgeseg import-onnx {quoted(origin)} --out model.onnx --output probability --channel K, "
            "with the channel of the class that is meant, from 0 on",
        )
    if options.output == "logits" and inside:
        return (
            f"every output of {origin} lies in 0..1 ({low:.4g} to {high:.4g}): "
            "if these are probabilities already, say --output probability",
        )
    return ()
