"""Two networks on the same images: what each scores against ground truth, and where they differ."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.artifacts import (
    CalibrationComparison,
    ConfidenceInterval,
    ProbabilityShift,
    SystematicDifference,
    VerdictRow,
)
from edgeseg.class_overlap import ClassScore, Overlap, class_overlaps, class_scores
from edgeseg.dataset import Pair
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.frames import Frame, Mask
from edgeseg.progress import Track, silent
from edgeseg.proof.verdict.bootstrap import bootstrap_interval
from edgeseg.proof.verdict.evaluation import NotFiniteError, probability_named
from edgeseg.proof.verdict.probability_calibration import CalibrationMeters
from edgeseg.proof.verdict.probability_shift import ShiftMeter
from edgeseg.proof.verdict.systematic import SystematicMeter
from edgeseg.proof.verdict.thumbnails import Shuffled, Thumbnails, shuffled, thumbnail
from edgeseg.proof.verdict.verdict_rows import verdict_row
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.session import SessionInfo, marked_at_frame, mask_at_frame


@dataclass(frozen=True)
class Comparison:
    """The scores of an engine and its reference, image by image."""

    rows: tuple[VerdictRow, ...]
    thumbnails: tuple[Thumbnails, ...] = ()
    """Small copies of the masks of each row; without them nothing is said of masks that fit any image."""
    by_class: tuple[ClassScore, ...] = ()
    """The engine's figures of every class but the background; empty for one class."""
    reference_by_class: tuple[ClassScore, ...] = ()
    shift: ProbabilityShift | None = None
    """How far the engine's probabilities are from the reference's; None where only masks were compared."""
    calibration: CalibrationComparison | None = None
    """How far both networks' probabilities can be taken at their word; None as for `shift`."""
    systematic: SystematicDifference | None = None
    """Differences that are the same on every image; None as for `shift`, and where outputs have other sizes."""

    @functools.cached_property
    def shuffled(self) -> Shuffled | None:
        """The reference's masks against other images' ground truth; None for too few images."""
        return shuffled(self.thumbnails)

    @property
    def mean_dice(self) -> float:
        """The engine's mean Dice."""
        return self._mean("dice")

    @property
    def mean_iou(self) -> float:
        """The engine's mean IoU."""
        return self._mean("iou")

    @property
    def reference_mean_dice(self) -> float:
        """The reference's mean Dice."""
        return self._mean("reference_dice")

    @property
    def mean_dice_drop(self) -> float:
        """Reference minus engine; positive is worse."""
        return self._mean("drop")

    @property
    def reference_mean_iou(self) -> float:
        """The reference's mean IoU."""
        return self._mean("reference_iou")

    @property
    def mean_agreement(self) -> float:
        """Dice of one network's masks against the other's."""
        return self._mean("agreement")

    @property
    def drops(self) -> NDArray[np.float64]:
        """Reference minus engine of each image, float64 [N]."""
        return self._values("drop")

    def drop_interval(self) -> ConfidenceInterval:
        """The paired bootstrap's 95 % interval of the mean Dice drop."""
        return bootstrap_interval(self.drops)

    def _values(self, field: str) -> NDArray[np.float64]:
        return np.array([getattr(row, field) for row in self.rows], np.float64)

    def _mean(self, field: str) -> float:
        return float(self._values(field).mean())


def refuse_other_classes(engine: SessionInfo, reference: SessionInfo) -> None:
    """Two networks may differ in size and architecture, never in what they look for.

    Raises:
        MismatchError: Other classes.
    """
    if engine.model.classes != reference.model.classes:
        raise MismatchError(
            "the engine and the reference look for different things",
            found=f"engine: {', '.join(engine.model.classes)}",
            expected=f"reference: {', '.join(reference.model.classes)}",
            next_command="edgeseg verify ENGINE --reference the model that the engine was built from",
        )


def compare(engine: Engine, reference: Engine, pairs: Sequence[Pair], track: Track = silent) -> Comparison:
    """Let both networks segment every image. One image is held at a time.

    An image on which the engine's probabilities are not finite scores 0 and is marked.

    Raises:
        MismatchError: The networks have other classes.
        NotFiniteError: The reference gave NaN or infinity: nothing can be compared with it.
        BadInputError: No pairs, or an image or mask that cannot be read.
    """
    refuse_other_classes(engine.info, reference.info)
    return _compare(engine, lambda pair, frame: _segmented(reference, frame, pair.name), pairs, track)


def compare_with(
    engine: Engine, mask_of: Callable[[Pair, Frame], Mask], pairs: Sequence[Pair], track: Track = silent
) -> Comparison:
    """Compare as `compare` does, with the reference's masks from wherever the caller has them.

    Args:
        engine: What is compared.
        mask_of: Gives the reference's mask of a pair's frame, uint8 [H,W], before `Labelled.judged`.
        pairs: At least one.
        track: Shows progress.

    Raises:
        BadInputError: No pairs, or an image or mask that cannot be read.
    """
    return _compare(engine, lambda pair, frame: _Segmented(mask_of(pair, frame)), pairs, track)


@dataclass(frozen=True)
class _Segmented:
    """The answer of one network for one frame."""

    mask: Mask
    marked: NDArray[np.float32] | None = None
    """How likely each pixel is marked, float32 [h,w]; None where only the mask is known."""


def _segmented(engine: Engine, frame: Frame, name: str) -> _Segmented:
    height, width = frame.shape[:2]
    probability = probability_named(engine, frame, name)
    marked = marked_at_frame(engine.info, probability, height, width)[0]
    return _Segmented(mask_at_frame(engine.info, probability, height, width), marked)


def _compare(
    engine: Engine, reference_of: Callable[[Pair, Frame], _Segmented], pairs: Sequence[Pair], track: Track
) -> Comparison:
    if not pairs:
        raise BadInputError(
            "there is nothing to compare",
            found="no labelled images",
            expected="at least one image with its mask",
        )
    names = engine.info.model.classes
    classes = engine.info.model.channels
    rows, thumbnails, overlaps, reference_overlaps = [], [], [], []
    meter, meters, systematic = ShiftMeter(), CalibrationMeters(), SystematicMeter()
    for pair in track(pairs, "comparing", len(pairs)):
        labelled = pair.read_labelled(classes)
        frame = labelled.frame
        standard = reference_of(pair, frame)
        reference_mask = labelled.judged(standard.mask)
        found = _segmented_or_none(engine, frame, pair.name)
        mask = None if found is None else labelled.judged(found.mask)
        row = verdict_row(pair.name, labelled.mask, reference_mask, mask, classes)
        if found is not None and found.marked is not None and standard.marked is not None:
            row = _with_confidence(row, meter.add(standard.marked, found.marked, reference_mask))
            systematic.add(standard.marked, found.marked)
            meters.engine.add(found.marked, labelled.mask, labelled.ignored)
            meters.reference.add(standard.marked, labelled.mask, labelled.ignored)
        rows.append(row)
        if classes > 1:
            overlaps.append(_overlaps(mask, labelled.mask, classes))
            reference_overlaps.append(_overlaps(reference_mask, labelled.mask, classes))
        small = None if mask is None else thumbnail(mask)
        thumbnails.append(Thumbnails(thumbnail(labelled.mask), thumbnail(reference_mask), small))
    by_class = (class_scores(names, overlaps), class_scores(names, reference_overlaps)) if classes > 1 else ((), ())
    return Comparison(
        tuple(rows), tuple(thumbnails), *by_class, meter.shift(), meters.comparison(), systematic.difference()
    )


def _overlaps(mask: Mask | None, truth: Mask, classes: int) -> tuple[Overlap | None, ...]:
    """The overlaps of every class; a network without a mask marks nothing, and so has 0 for what the image shows."""
    return class_overlaps(np.zeros_like(truth) if mask is None else mask, truth, classes)


def mask_or_none(engine: Engine, frame: Frame, name: str) -> Mask | None:
    """The mask of a frame, or None where the network's probabilities are not finite."""
    found = _segmented_or_none(engine, frame, name)
    return None if found is None else found.mask


def _segmented_or_none(engine: Engine, frame: Frame, name: str) -> _Segmented | None:
    try:
        return _segmented(engine, frame, name)
    except NotFiniteError:
        return None


def _with_confidence(row: VerdictRow, means: tuple[float, float] | None) -> VerdictRow:
    if means is None:
        return row
    return row.model_copy(update={"reference_confidence": means[0], "confidence": means[1]})
