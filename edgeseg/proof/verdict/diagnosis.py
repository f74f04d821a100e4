"""Names the likely cause where an engine's masks are not its reference's, by trying usual mistakes on the reference.

Each hypothesis changes the frames that the reference is given; the one under which it computes what the engine computed
explains the disagreement. Run only where a verdict did not pass, on a few images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.artifacts import EngineArtifact, VerdictRow
from edgeseg.dataset import Pair
from edgeseg.frames import Frame, Probability
from edgeseg.proof.verdict.evaluation import NotFiniteError, probability_named
from edgeseg.proof.verdict.identity_rules import is_built_from
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.specs import IMAGENET_MEAN, IMAGENET_STD

MOST_IMAGES = 8
"""Images that are tried, from those on which the masks agree least to those on which they agree most: where INT8 is
given what it was not calibrated for, the worst images alone show that and no more."""
CLEAR_AGREEMENT = 0.99
"""Mean Dice of the masks from which on INT8 alone needs no explanation: the shipped engines reach 0.993 and more."""
LEAST_CORRELATION = 0.6
"""Correlation of the logits, median over images, from which a hypothesis may explain them. kvasir-ultra in INT8 reaches
0.68 with the colours swapped, for which it has no ranges; every other hypothesis stays below 0.5."""
MOST_LEFT = 0.5
"""Largest share of the disagreement, 1 - correlation, that an explanation may leave."""
LEAST, MOST = 6e-8, 1 - 6e-8
"""Bounds of the probabilities whose logits are correlated: about what float32 can hold."""

Change = Callable[[Frame], Frame]
_NORMALISATIONS = {
    "values from 0 to 1, without mean and standard deviation": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "values from -1 to 1": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "the mean and standard deviation of ImageNet": (IMAGENET_MEAN, IMAGENET_STD),
    "values from 0 to 255": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
}


def likely_cause(
    engine: Engine,
    reference: Engine,
    pairs: Sequence[Pair],
    rows: Sequence[VerdictRow],
    passport: EngineArtifact | None = None,
) -> str | None:
    """Say in a sentence why the engine's masks are not the reference's; None where they are, or where nobody can tell.

    Args:
        engine: The engine that did not pass.
        reference: Its reference, of the same classes.
        pairs: The images of the verdict.
        rows: The verdict's rows, one for each pair.
        passport: The engine's, for the network that it was built from.
    """
    ordered = sorted((row for row in rows if row.finite), key=lambda row: (row.agreement, row.name))
    if not ordered or ordered[0].agreement == 1:
        return None
    names = {row.name for row in ordered[:: math.ceil(len(ordered) / MOST_IMAGES)]}
    tried = [] if engine.info.model.channels > 1 else [pair for pair in pairs if pair.name in names]
    causes = [*_explanation(engine, reference, tried), *_origin(engine.info, reference.info, passport)]
    if causes:
        return "likely cause: " + "; ".join(causes)
    is_clear = float(np.mean([row.agreement for row in rows])) < CLEAR_AGREEMENT
    if tried and is_clear and engine.info.precision == "int8":
        return (
            "likely cause: inside the engine, for no other colour order, normalisation or resize explains its masks: "
            "INT8 ranges (were they calibrated on images like these?), or weights that are not the reference's"
        )
    return None


def hypotheses(info: SessionInfo) -> dict[str, Change]:
    """The usual mistakes before a network, each as what it does to the frame that the reference is given.

    Args:
        info: The reference, whose normalisation is known.
    """
    height, width = info.model.height, info.model.width
    changes: dict[str, Change] = {
        "its colours are in the order BGR": lambda frame: np.ascontiguousarray(frame[..., ::-1])
    }
    own = np.array([info.preprocess.mean, info.preprocess.std])
    for words, values in _NORMALISATIONS.items():
        other = np.array(values)
        if not np.allclose(own, other, atol=0.01):
            changes[f"its frames are normalised otherwise: {words}"] = _normalised(own, other)
    for words, filter_ in (
        ("nearest neighbour", cv2.INTER_NEAREST),
        ("area averaging", cv2.INTER_AREA),
        ("bicubic", cv2.INTER_CUBIC),
    ):
        changes[f"its frames are resized by another filter: {words}"] = _resized(width, height, filter_)
    return changes


def _origin(engine: SessionInfo, reference: SessionInfo, passport: EngineArtifact | None) -> list[str]:
    if passport is None or is_built_from(engine, reference, passport) is not False:
        return []
    built_from = "no ONNX file" if passport.onnx_sha256 is None else f"ONNX sha256 {passport.onnx_sha256[:12]}"
    return [
        f"the engine was not built from the reference's file (its passport names {built_from}, the reference has "
        f"{reference.sha256[:12]})"
    ]


def _explanation(engine: Engine, reference: Engine, pairs: Sequence[Pair]) -> list[str]:
    if not pairs:
        return []
    try:
        frames = {pair.name: pair.read_labelled(engine.info.model.channels).frame for pair in pairs}
        found = {name: probability_named(engine, frame, name) for name, frame in frames.items()}

        def correlation(change: Change) -> float:
            return float(
                np.median(
                    [
                        _correlation(found[name], probability_named(reference, change(frame), name))
                        for name, frame in frames.items()
                    ]
                )
            )

        before = correlation(lambda frame: frame)
        after = {words: correlation(change) for words, change in hypotheses(reference.info).items()}
    except NotFiniteError:
        return []
    best = max(after, key=after.__getitem__)
    if after[best] < LEAST_CORRELATION or 1 - after[best] > MOST_LEFT * (1 - before):
        return []
    return [
        f"{best} (so changed, the reference's logits correlate with the engine's to {after[best]:.4f}, unchanged to "
        f"{before:.4f}, on {len(frames)} images)"
    ]


def _normalised(own: NDArray[np.float64], other: NDArray[np.float64]) -> Change:
    """The frame that the graph's own mean and standard deviation turn into what others make of the given one."""

    def change(frame: Frame) -> Frame:
        wanted = (frame / 255 - other[0]) / other[1]
        values: Frame = np.clip(np.rint(255 * (own[0] + own[1] * wanted)), 0, 255).astype(np.uint8)
        return values

    return change


def _resized(width: int, height: int, filter_: int) -> Change:
    return lambda frame: np.asarray(cv2.resize(frame, (width, height), interpolation=filter_), np.uint8)


def _correlation(one: Probability, other: Probability) -> float:
    """Pearson's correlation of the logits; 0 where one is constant, or where the sizes differ."""
    if one.shape != other.shape:
        return 0.0
    ours, theirs = (
        np.log(held / (1 - held))
        for held in (np.clip(each.astype(np.float64), LEAST, MOST).reshape(-1) for each in (one, other))
    )
    if not ours.std() or not theirs.std():
        return 0.0
    return float(np.corrcoef(ours, theirs)[0, 1])
