"""One network against ground truth: the scores of every image, then what they say together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import pydantic
from numpy.typing import NDArray

from edgeseg.artifacts import ConfidenceInterval
from edgeseg.class_overlap import ClassScore, class_scores
from edgeseg.dataset import Pair, hash_pairs
from edgeseg.errors import BadInputError
from edgeseg.frames import Frame, Mask, Probability
from edgeseg.metrics import TOLERANCE_PX, ImageScore, overlap_per_image, score_image
from edgeseg.progress import Track, silent
from edgeseg.proof.verdict.bootstrap import bootstrap_interval
from edgeseg.proof.verdict.detection import Detection, SizeGroup, by_size, detection
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.inputs import EngineInput, PackedFrame
from edgeseg.runtime.engine.one_frame import probability_of
from edgeseg.runtime.engine.session import mask_at_frame
from edgeseg.values import Value


class Evaluation(Value):
    """The figures that a network reaches on labelled images, each at its own size."""

    mean_dice: float
    mean_iou: float
    image_count: int = pydantic.Field(gt=0)
    data_sha256: str
    """Hash of images and masks."""
    dice_interval: ConfidenceInterval
    """The bootstrap interval of the mean Dice over images like these; it knows nothing of other endoscopes."""
    mean_sensitivity: float
    mean_precision: float
    mean_hd95_px: float
    """A missed polyp counts with the picture's diagonal; the median is not moved by a few of them."""
    median_hd95_px: float
    mean_surface_dice: float
    tolerance_px: float
    """Tolerance of the surface Dice, at the image's own size."""
    detection: Detection
    by_size: tuple[SizeGroup, ...]
    by_class: tuple[ClassScore, ...] = ()
    """Every class but the background, each over the images that show it or have it marked; empty for one class."""
    per_image: tuple[ImageScore, ...]


class NotFiniteError(BadInputError):
    """A network gave a probability that is not a number, or is infinite.

    A comparison with the threshold would take it for background, and a network of nothing but NaN would score
    1 on every image without a polyp.
    """


def finite_probability_of(engine: Engine, frame: EngineInput) -> Probability:
    """Compute the probability map of one frame, float32 [C,h,w], and refuse one that is not finite.

    Raises:
        NotFiniteError: NaN or infinity among the probabilities.
    """
    probability = probability_of(engine, frame)
    wrong = int(np.count_nonzero(~np.isfinite(probability)))
    if wrong:
        raise NotFiniteError(
            "the network gave probabilities that are not finite",
            found=f"NaN or infinity in {wrong} of {probability.size} pixels",
            expected="values from 0 to 1",
        )
    return probability


def evaluate(
    engine: Engine, pairs: Sequence[Pair], track: Track = silent, tolerance_px: float = TOLERANCE_PX
) -> Evaluation:
    """Segment every image and score its mask at the image's own size.

    Args:
        engine: What is to be measured.
        pairs: Images with ground truth; at least one.
        track: Shows progress.
        tolerance_px: Tolerance of the surface Dice.

    Raises:
        NotFiniteError: The network gave NaN or infinity.
        BadInputError: No pairs, or an image or mask that cannot be read.
    """
    model = engine.info.model
    scores = [
        score_image(name, predicted, truth, tolerance_px, model.channels)
        for name, predicted, truth in segmented(engine, pairs, track)
    ]
    return summarise(scores, hash_pairs(pairs), tolerance_px, model.classes)


def mean_overlap_of(engine: Engine, pairs: Sequence[Pair], track: Track = silent) -> tuple[float, float]:
    """Mean Dice and mean IoU as `evaluate` gives them, without its other, slower measures.

    Raises:
        NotFiniteError: The network gave NaN or infinity.
        BadInputError: No pairs, or an image or mask that cannot be read.
    """
    classes = engine.info.model.channels
    overlaps = [overlap_per_image(predicted, truth, classes) for _, predicted, truth in segmented(engine, pairs, track)]
    return float(np.mean([dice for dice, _ in overlaps])), float(np.mean([iou for _, iou in overlaps]))


def segmented(engine: Engine, pairs: Sequence[Pair], track: Track = silent) -> Iterator[tuple[str, Mask, Mask]]:
    """Segment every image at its own size: its name, the predicted mask and ground truth, ignored pixels 0 in both.

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
    for pair in track(pairs, "evaluating", len(pairs)):
        labelled = pair.read_labelled(engine.info.model.channels)
        predicted = labelled.judged(segment_named(engine, labelled.frame, pair.name))
        yield pair.name, predicted, labelled.mask


def summarise(
    scores: Sequence[ImageScore],
    data_sha256: str,
    tolerance_px: float = TOLERANCE_PX,
    classes: Sequence[str] = (),
) -> Evaluation:
    """Combine the scores of single images.

    Args:
        scores: At least one.
        data_sha256: Hash of images and masks.
        tolerance_px: Tolerance of the surface Dice.
        classes: Names of all classes, the background first; one name, or none, for one class.
    """

    def values(measure: str) -> NDArray[np.float64]:
        return np.array([getattr(score, measure) for score in scores], np.float64)

    return Evaluation(
        mean_dice=float(values("dice").mean()),
        mean_iou=float(values("iou").mean()),
        image_count=len(scores),
        data_sha256=data_sha256,
        dice_interval=bootstrap_interval(values("dice")),
        mean_sensitivity=float(values("sensitivity").mean()),
        mean_precision=float(values("precision").mean()),
        mean_hd95_px=float(values("hd95_px").mean()),
        median_hd95_px=float(np.median(values("hd95_px"))),
        mean_surface_dice=float(values("surface_dice").mean()),
        tolerance_px=tolerance_px,
        detection=detection(scores),
        by_size=by_size(scores),
        by_class=class_scores(classes, [score.by_class for score in scores]) if len(classes) > 1 else (),
        per_image=tuple(scores),
    )


def segment_named(engine: Engine, frame: Frame, name: str) -> Mask:
    """The mask of a frame, uint8 [H,W]; a refusal names the image.

    Raises:
        NotFiniteError: The network gave NaN or infinity.
    """
    return mask_at_frame(engine.info, probability_named(engine, frame, name), *frame.shape[:2])


def probability_named(engine: Engine, frame: Frame, name: str) -> Probability:
    """The probabilities of a frame, float32 [C,h,w]; a refusal names the image.

    Raises:
        NotFiniteError: The network gave NaN or infinity.
    """
    with named(name):
        return finite_probability_of(engine, PackedFrame(frame, "rgb"))


@contextlib.contextmanager
def named(name: str) -> Iterator[None]:
    """Let a refusal inside the block say which image it was."""
    try:
        yield
    except NotFiniteError as error:
        raise NotFiniteError(
            f"{error.what} for the image {name}", found=error.found, expected=error.expected
        ) from error
