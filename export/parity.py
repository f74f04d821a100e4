"""Compares the probabilities of two networks, input by input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import ToleranceError
from edgeseg.images import write_png
from edgeseg.runtime.engine.session import FrameBatch, ProbabilityBatch

MAX_PROBABILITY_DIFFERENCE = 1e-4
"""Between a network and its graph in ONNX Runtime, both in float32."""
DECIDING = frozenset({"Equal", "ArgMax", "ArgMin", "TopK"})
"""Operators that decide between values, as unpooling does. Where two are nearly equal, the rounding of another
processor's or library's sums decides, and what follows differs by more than rounding, at a few pixels."""
DECIDED_OTHERWISE = 0.01
"""Share of a picture's pixels that may be off further in a network that decides."""
LARGEST_DECIDED_DIFFERENCE = 0.05
"""How far those may be off."""
_DECIDED = f", or {LARGEST_DECIDED_DIFFERENCE:g} at {DECIDED_OTHERWISE:.0%} of a picture's pixels"


class Network(Protocol):
    """Anything that makes probabilities of frames."""

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        """Run the network: uint8 [N,H,W,3] RGB in, float32 [N,C,H,W] out."""
        ...


def check_parity(
    reference: Network,
    graph: Network,
    inputs: Sequence[FrameBatch],
    out: Path,
    of: str = "the PyTorch network",
    limit: float = MAX_PROBABILITY_DIFFERENCE,
    decides: bool = False,
) -> float:
    """The largest |difference of probability| over all inputs.

    Args:
        reference: What is to be computed.
        graph: What was made from it.
        inputs: Batches at the network's size.
        out: The file to be written; the worst input is saved beside it.
        of: The reference's name for the message.
        limit: The largest difference that passes.
        decides: Whether the network decides between values (`DECIDING`); then 1 % of each picture's pixels may be off
            by up to 0.05.

    Raises:
        ToleranceError: It is above what passes; the input that shows it is saved as PNG beside `out`.
    """
    worst, worst_frame, passed = 0.0, None, True
    for batch in inputs:
        distance = np.abs(reference.infer(batch) - graph.infer(batch)).reshape(len(batch), -1)
        distance = np.nan_to_num(distance, nan=np.inf)
        difference = distance.max(axis=1)
        passed &= all(_is_within(values, limit, decides) for values in distance)
        index = int(np.argmax(difference))
        if difference[index] > worst:
            worst, worst_frame = float(difference[index]), batch[index]
    if not passed:
        raise ToleranceError(
            f"the exported graph does not compute what {of} computes",
            found=f"probabilities differ by {worst:.3g}; the input is kept in {_save_worst(worst_frame, out)}",
            expected=f"at most {limit:g}{_DECIDED if decides else ''}",
        )
    return worst


def _is_within(distance: NDArray[np.float32], limit: float, decides: bool) -> bool:
    """Judge the pixels of one picture."""
    beyond = distance > limit
    few_decided = decides and beyond.mean() <= DECIDED_OTHERWISE and distance.max() <= LARGEST_DECIDED_DIFFERENCE
    return bool(few_decided or not beyond.any())


def _save_worst(frame: NDArray[np.uint8] | None, out: Path) -> Path:
    path = out.with_name(f"{out.stem}.worst-input.png")
    if frame is not None:
        write_png(path, frame)
    return path
