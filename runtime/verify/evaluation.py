"""One network against ground truth: Dice and IoU of every image, then their means."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pydantic

from edgeseg.dataset import Pair, hash_pairs
from edgeseg.errors import BadInputError
from edgeseg.frames import Frame, Mask, Probability
from edgeseg.metrics import ImageScore, score_image
from edgeseg.progress import Track, silent
from edgeseg.runtime.session import (
    ColourOrder,
    FrameBatch,
    ProbabilityBatch,
    Session,
    SessionInfo,
    probability_of,
    segment,
)
from edgeseg.values import Value


class Evaluation(Value):
    """What a network reaches on labelled images, each at its own size."""

    mean_dice: float
    mean_iou: float
    image_count: int = pydantic.Field(gt=0)
    data_sha256: str
    """Of images and masks."""
    per_image: tuple[ImageScore, ...]


class NotFiniteError(BadInputError):
    """A network gave a probability that is not a number, or is infinite.

    A comparison with the threshold would take it for background, and a network of nothing but NaN would score
    1 on every image without a polyp.
    """


class FiniteSession:
    """A session that refuses to give probabilities that are not finite.

    Args:
        session: The session to watch; it stays the caller's to close.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def info(self) -> SessionInfo:
        """What this is."""
        return self._session.info

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        """Run the network: uint8 [N,H,W,3] RGB in, float32 [N,C,H,W] out.

        Raises:
            NotFiniteError: NaN or infinity among the probabilities.
        """
        probability = self._session.infer(frames)
        _check_finite(probability)
        return probability

    def probability(self, frame: Frame, colour_order: ColourOrder = "rgb") -> Probability:
        """Run the network on one frame of any size: float32 [C,h,w].

        Raises:
            NotFiniteError: NaN or infinity among the probabilities.
        """
        probability = probability_of(self._session, frame, colour_order)
        _check_finite(probability)
        return probability

    def close(self) -> None:
        """Nothing: the session belongs to whoever opened it."""


def _check_finite(probability: ProbabilityBatch) -> None:
    wrong = int(np.count_nonzero(~np.isfinite(probability)))
    if wrong:
        raise NotFiniteError(
            "the network gave probabilities that are not finite",
            found=f"NaN or infinity in {wrong} of {probability.size} pixels",
            expected="values from 0 to 1",
        )


def evaluate(session: Session, pairs: Sequence[Pair], track: Track = silent) -> Evaluation:
    """Segment every image and score its mask at the image's own size.

    Args:
        session: A loaded network.
        pairs: Images with ground truth; at least one.
        track: Shows progress.

    Raises:
        NotFiniteError: The network gave NaN or infinity.
        BadInputError: No pairs, or an image or mask that cannot be read.
    """
    if not pairs:
        raise BadInputError(
            "there is nothing to evaluate",
            found="no labelled images",
            expected="at least one image with its mask",
        )
    finite = FiniteSession(session)
    scores = []
    for pair in track(pairs, "evaluating", len(pairs)):
        frame, truth = pair.read()
        scores.append(score_image(pair.name, segment_named(finite, frame, pair.name), truth))
    return Evaluation(
        mean_dice=float(np.mean([score.dice for score in scores])),
        mean_iou=float(np.mean([score.iou for score in scores])),
        image_count=len(scores),
        data_sha256=hash_pairs(pairs),
        per_image=tuple(scores),
    )


def segment_named(session: FiniteSession, frame: Frame, name: str) -> Mask:
    """The mask of a frame, uint8 [H,W]; a refusal names the image.

    Raises:
        NotFiniteError: The network gave NaN or infinity.
    """
    try:
        return segment(session, frame)
    except NotFiniteError as error:
        raise NotFiniteError(
            f"{error.what} for the image {name}", found=error.found, expected=error.expected
        ) from error
