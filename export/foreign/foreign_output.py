"""Examines a foreign network's output: its size, and whether its values are what the user says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import BadInputError
from edgeseg.export.foreign.foreign_graph import PreparedNetwork
from edgeseg.export.foreign.foreign_options import ImportOptions
from edgeseg.graph.foreign import PICTURE_RANK

MOST_CHANNELS = 256
"""A mask holds the class index in a byte."""
LARGEST_FACTOR = 32
PROBABILITY_SLACK = 1e-3
"""FP16 rounds a softmax that far beyond 1."""
SUM_SLACK = 1e-2
EXPECTED = "float32 or float16 [N,C,H,W]"


def output_size(result: NDArray[Any], network: PreparedNetwork, origin: str) -> tuple[int, tuple[int, int]]:
    """Channels, and how many times the output is smaller than the input in height and in width.

    Args:
        result: What the network gave for one batch of its own size.
        network: Its input.
        origin: The file, for messages.

    Raises:
        BadInputError: No float picture in planes of the input's size or of a whole fraction.
    """
    found = f"{network.output}: {result.dtype} {list(result.shape)}"
    what = f"the output of {origin} is no map of classes over the picture"
    if result.dtype not in (np.float32, np.float16) or result.ndim != PICTURE_RANK:
        hint = ", which looks like class indices" if result.dtype.kind in "iub" else ""
        raise BadInputError(what, found=found + hint, expected=EXPECTED)
    height, width = network.shape.height, network.shape.width
    _, channels, rows, columns = result.shape
    if (channels, rows) == (height, width) and (rows, columns) != (height, width):
        raise BadInputError(what, found=f"{found}, which looks like NHWC", expected=EXPECTED)
    if not 0 < channels <= MOST_CHANNELS:
        raise BadInputError(what, found=found, expected=f"1 to {MOST_CHANNELS} channels")
    factors = [height // max(rows, 1), width // max(columns, 1)]
    if (rows * factors[0], columns * factors[1]) != (height, width) or max(factors) > LARGEST_FACTOR:
        raise BadInputError(
            f"the output of {origin} is of another size than its input",
            found=found,
            expected=f"{width}x{height} (width x height) or a whole fraction, at most {LARGEST_FACTOR} times smaller",
        )
    return channels, (factors[0], factors[1])


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
        )
    if options.output == "logits" and inside:
        return (
            f"every output of {origin} lies in 0..1 ({low:.4g} to {high:.4g}): "
            "if these are probabilities already, say --output probability",
        )
    return ()
