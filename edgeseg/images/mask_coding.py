"""Finds what the values of a set of masks mean; one mask alone is a set of one.

A 1 is the polyp where masks hold 0 and 1, one label of several where others hold 2, and an artefact where they hold
every grey value up to 255. Only all masks together tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import BadInputError
from edgeseg.frames import Mask
from edgeseg.images.mask_values import MASK_THRESHOLD, MaskValues, mask_problem

IGNORED_LABEL = 255
"""The label of pixels that nobody judges, beside labels from 0 on (Pascal VOC's convention)."""
MAX_LABEL = 63
_MIN_LABEL_SHARE = 0.1
"""Labels that mark less than this share of what 255 marks leave open which of them is the polyp."""


@dataclass(frozen=True)
class MaskEvidence:
    """The evidence that one mask gives about the coding of its set."""

    distinct: dict[int, int] | None
    """Value -> pixels; None for a smeared or soft mask."""
    is_palette: bool
    problem: str | None
    """The fault that it has as a two-valued grey mask; None where nothing is."""

    @classmethod
    def of(cls, values: MaskValues) -> MaskEvidence:
        """The evidence of one mask."""
        grey = values.grey()
        largest = int(grey.max(initial=0))
        problem = mask_problem(grey)
        if problem is None and not values.is_lossy and 0 < largest <= MASK_THRESHOLD:
            problem = f"holds nothing brighter than {largest}: it reads as empty, foreground must be 255"
        return cls(values.distinct(), values.is_palette, problem)


@dataclass(frozen=True)
class MaskCoding:
    """The meaning of the values of a set of masks."""

    rule: Literal["threshold", "nonzero", "labels"]
    """Foreground is above 127; or everything but 0; or labels name several classes."""
    ignore: int | None = None
    """The value of pixels that are kept out of losses and measures."""
    labels: tuple[int, ...] = ()
    """The labels of the set, with 0; empty for the other rules."""

    @property
    def class_count(self) -> int:
        """Classes without the background."""
        return max(len(self.labels) - 1, 1) if 0 in self.labels or not self.labels else len(self.labels)

    def apply(self, values: MaskValues) -> tuple[Mask, NDArray[np.bool_] | None]:
        """The mask, uint8 [H,W] (0 or 255; labels where there are several), and where it must not be judged, or None.

        Ignored pixels are 0 in the mask.
        """
        if self.rule == "threshold":
            return np.where(values.grey() > MASK_THRESHOLD, np.uint8(255), np.uint8(0)), None
        ignored = None
        if self.ignore is not None and bool((found := values.values == self.ignore).any()):
            ignored = np.asarray(found, np.bool_)
        kept = values.values if ignored is None else np.where(ignored, 0, values.values)
        if self.rule == "labels":
            return kept.astype(np.uint8), ignored
        return np.where(kept > 0, np.uint8(255), np.uint8(0)), ignored

    def class_indices(self, values: MaskValues, classes: int) -> tuple[Mask, NDArray[np.bool_] | None]:
        """The mask as class indices, uint8 [H,W] from 0, and where it must not be judged, or None.

        Labels are class indices. A mask of two values whose mark is no class index, such as 255, marks class 1.

        Args:
            values: The mask's values.
            classes: Number of classes, with the background.

        Raises:
            BadInputError: A label that is no class index.
        """
        mask, ignored = self.apply(values)
        if self.rule == "labels":
            wrong = int(mask.max(initial=0))
            if wrong >= classes:
                raise BadInputError(f"a mask holds label {wrong}", expected=f"labels 0 to {classes - 1}")
            return mask, ignored
        marks = values.values[mask > 0]
        label = int(marks.flat[0]) if self.rule == "nonzero" and marks.size else 1
        return np.where(mask > 0, np.uint8(label if label < classes else 1), np.uint8(0)), ignored


def coding_of(evidence: Sequence[MaskEvidence]) -> tuple[MaskCoding, list[tuple[int, str]]]:
    """Find what the values of all masks mean.

    Args:
        evidence: Of every mask of a set.

    Returns:
        The coding, and what is wrong: the number of a mask and words that follow its name.
    """
    smeared = [index for index, item in enumerate(evidence) if item.distinct is None]
    exact = {index: item.distinct for index, item in enumerate(evidence) if item.distinct is not None}
    union = {value for distinct in exact.values() for value in distinct}
    marks = union - {0}
    palette = any(item.is_palette for item in evidence)
    if not smeared and len(marks) <= 1:
        unclear = [index for index, distinct in exact.items() if palette and IGNORED_LABEL in distinct]
        words = "marks index 255 of its palette alone: is that the polyp or to be ignored?"
        return MaskCoding("nonzero"), [(index, words) for index in unclear]
    labels = marks - {IGNORED_LABEL}
    if smeared or not labels or max(labels) > (IGNORED_LABEL if palette else MAX_LABEL):
        return MaskCoding("threshold"), [(index, item.problem) for index, item in enumerate(evidence) if item.problem]
    problems = _ambiguities(exact, labels) if IGNORED_LABEL in marks and not palette else []
    ignore = IGNORED_LABEL if IGNORED_LABEL in marks else None
    if len(labels) == 1:
        return MaskCoding("nonzero", ignore), problems
    return MaskCoding("labels", ignore, (0, *sorted(labels))), problems


def refuse_problems(path: object, problems: Sequence[tuple[int, str]]) -> None:
    """Refuse a mask that was read alone.

    Raises:
        BadInputError: There is a problem.
    """
    if problems:
        raise BadInputError(
            f"the mask {path} {problems[0][1]}",
            expected="two values: 0 and 255, or 0 and 1",
            next_command="save it as 8-bit grey: 0 is the background, 255 the polyp",
        )


def _ambiguities(exact: dict[int, dict[int, int]], labels: set[int]) -> list[tuple[int, str]]:
    """Grey masks with labels and 255: 255 may mean 'ignore', or the polyp in masks of another origin."""
    both = [index for index, distinct in exact.items() if IGNORED_LABEL in distinct and labels & distinct.keys()]
    named = ", ".join(map(str, sorted(labels)))
    if not both:
        return [
            (index, f"holds 255, other masks hold {named}: two codings in one set")
            for index, distinct in exact.items()
            if IGNORED_LABEL in distinct
        ]
    labelled = sum(distinct.get(label, 0) for distinct in exact.values() for label in labels)
    ignored = sum(distinct.get(IGNORED_LABEL, 0) for distinct in exact.values())
    if labelled < _MIN_LABEL_SHARE * ignored:
        return [
            (index, f"holds 255 beside {named}, which mark hardly anything: is 255 the polyp or to be ignored?")
            for index in both
        ]
    return []
