"""Reads every pair of a set once and finds everything that is wrong, before work on the set begins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from edgeseg.dataset.pair import Pair
from edgeseg.errors import BadInputError
from edgeseg.frames import Mask
from edgeseg.images import (
    MASK_THRESHOLD,
    MaskCoding,
    MaskEvidence,
    coding_of,
    hash_pixels,
    read_mask_values,
)
from edgeseg.progress import Track, silent

_ONE_BLOB = 0.9
_ENOUGH = 3
"""Masks below this number do not show that ground and polyp were exchanged."""


@dataclass(frozen=True)
class SeenPair:
    """A pair that could be read."""

    split: str
    pair: Pair
    pixels_sha256: str
    height: int
    width: int
    foreground: float
    """Share of the picture that the mask marks, any class."""
    ignored: float
    """Share of the picture that nobody judges."""


@dataclass(frozen=True)
class Examination:
    """Everything that was found in a set."""

    seen: tuple[SeenPair, ...]
    """The pairs that can be read, with the set's coding."""
    coding: MaskCoding
    problems: tuple[str, ...]
    copies: tuple[str, ...] = ()
    """Pictures that are there several times in one split, which skews a mean, but hides nothing."""


@dataclass(frozen=True)
class _Read:
    split: str
    pair: Pair
    pixels_sha256: str
    height: int
    width: int
    evidence: MaskEvidence
    bright: float
    """Share above the threshold."""
    inverted: bool
    """True if one blob is unmarked and the ground about it marked."""


def examine(
    pairs: Sequence[tuple[str, Pair]],
    track: Track = silent,
    other_masks: Sequence[Path] = (),
    classes: int | None = 1,
) -> Examination:
    """Read every pair and collect all problems.

    Args:
        pairs: Split and pair.
        track: Shows progress.
        other_masks: Masks of the same data set that are not read for this work; they help to tell what values mean.
        classes: Number of classes with the background, 1 for one class; None takes whatever labels there are.
    """
    problems: list[str] = []
    read = [
        item for split, pair in track(pairs, "checking pairs", len(pairs)) if (item := _read(split, pair, problems))
    ]
    evidence = [item.evidence for item in read]
    coding, unclear = coding_of(evidence)
    if other_masks and _is_open(coding, evidence):
        coding, unclear = coding_of([*evidence, *_evidence_of(other_masks)])
    problems += [
        f"{read[index].split}: mask {read[index].pair.mask.name} {words}"
        for index, words in unclear
        if index < len(read)
    ]
    problems += _of_whole_set(read, coding)
    if coding.rule == "labels" and classes == 1:
        problems.append(f"several classes: the masks hold labels {', '.join(map(str, coding.labels))}, not one class")
    if coding.rule == "labels" and classes is not None and classes > 1:
        problems += [words for item in read if (words := _wrong_index(item, coding, classes))]
    seen = [_seen(item, coding) for item in read]
    leaks, copies = _repeated(seen)
    return Examination(tuple(seen), coding, (*problems, *leaks), tuple(copies))


def _repeated(seen: Sequence[SeenPair]) -> tuple[list[str], list[str]]:
    """Say which pictures lie in several splits, and which are several times in one."""
    same: dict[str, list[SeenPair]] = defaultdict(list)
    for item in seen:
        same[item.pixels_sha256].append(item)
    leaks, copies = [], []
    for group in (group for group in same.values() if len(group) > 1):
        names = " and ".join(f"{item.split}/{item.pair.image.name}" for item in group)
        if len({item.split for item in group}) > 1:
            leaks.append(f"leak: {names} are one picture in several splits")
        else:
            copies.append(f"{group[0].split}: {names} are one picture")
    return leaks, copies


def short(error: BadInputError, *paths: Path) -> str:
    """An error's words with 'it' instead of a file's path."""
    words = error.what
    for path in paths:
        words = words.replace(f"the image {path}", "it").replace(f"the mask {path}", "it").replace(str(path), "it")
    return words if error.found is None else f"{words} ({error.found})"


def _read(split: str, pair: Pair, problems: list[str]) -> _Read | None:
    try:
        frame, values = pair.read_values()
    except BadInputError as error:
        problems.append(_problem(split, pair, error))
        problems += _mask_too(split, pair, error)
        return None
    height, width = frame.shape[:2]
    bright = float(np.count_nonzero(values.grey() > MASK_THRESHOLD)) / values.values.size
    return _Read(
        split, pair, hash_pixels(frame), height, width, MaskEvidence.of(values), bright, _looks_inverted(values.grey())
    )


def _looks_inverted(grey: Mask) -> bool:
    """Say whether a mask marks its whole border and leaves out one blob, as a polyp drawn black on white does."""
    threshold = MASK_THRESHOLD if int(grey.max()) > MASK_THRESHOLD else 0
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    unmarked = (grey <= threshold).astype(np.uint8)
    if not bool((border > threshold).all()) or not unmarked.any():
        return False
    areas = cv2.connectedComponentsWithStats(unmarked, connectivity=8)[2][1:, cv2.CC_STAT_AREA]
    return bool(areas.max() >= _ONE_BLOB * areas.sum())


def _problem(split: str, pair: Pair, error: BadInputError) -> str:
    if str(pair.mask) in error.what:
        return f"{split}: mask {pair.mask.name} cannot be used: {short(error, pair.mask)}"
    if str(pair.image) in error.what:
        return f"{split}: image {pair.image.name} cannot be used: {short(error, pair.image)}"
    if "different sizes" in error.what:
        sizes = (error.found or "").replace("image ", "").replace(", mask", " and")
        return f"{split}: image {pair.image.name} and its mask differ in size: {sizes}"
    return f"{split}: {short(error)}"


def _mask_too(split: str, pair: Pair, error: BadInputError) -> list[str]:
    """The mask's own problem where the image's came first."""
    if str(pair.image) not in error.what or str(pair.mask) in error.what:
        return []
    try:
        read_mask_values(pair.mask)
    except BadInputError as own:
        return [_problem(split, pair, own)]
    return []


def _is_open(coding: MaskCoding, evidence: Sequence[MaskEvidence]) -> bool:
    """Say whether other masks could change what these mean: small numbers may be labels."""
    if coding.rule == "threshold":
        return False
    marks = {value for item in evidence for value in (item.distinct or {})} - {0, 255}
    return coding.rule == "labels" or bool(marks) or any(item.is_palette for item in evidence)


def _evidence_of(masks: Sequence[Path]) -> list[MaskEvidence]:
    found = []
    for path in masks:
        try:
            found.append(MaskEvidence.of(read_mask_values(path)))
        except BadInputError:  # it is refused where its split is read
            continue
    return found


def _wrong_index(item: _Read, coding: MaskCoding, classes: int) -> str | None:
    wrong = [value for value in item.evidence.distinct or () if value >= classes and value != coding.ignore]
    if not wrong:
        return None
    labels = ", ".join(map(str, wrong))
    return (
        f"{item.split}: mask {item.pair.mask.name} holds label {labels}, and there are the classes 0 to {classes - 1}"
    )


def _of_whole_set(read: Sequence[_Read], coding: MaskCoding) -> list[str]:
    if not read or coding.rule == "labels":
        return []
    shares = [_seen(item, coding).foreground for item in read]
    values = {value for item in read for value in (item.evidence.distinct or {0: 1})}
    if len(values) == 1 and not values & {0, 255}:
        return [f"every mask holds {values.pop()} alone: is that the polyp or the background?"]
    if len(read) >= _ENOUGH and all(item.inverted for item in read) and min(shares) > 0.5:
        return ["every mask marks its picture but for one blob: were background and polyp exchanged?"]
    return []


def _seen(item: _Read, coding: MaskCoding) -> SeenPair:
    foreground, ignored = item.bright, 0.0
    if coding.rule != "threshold" and item.evidence.distinct is not None:
        area = item.height * item.width
        ignored = item.evidence.distinct.get(coding.ignore, 0) / area if coding.ignore is not None else 0.0
        foreground = 1 - item.evidence.distinct.get(0, 0) / area - ignored
        foreground = 0.0 if foreground < 0.5 / area else foreground
    pair = replace(item.pair, coding=coding)
    return SeenPair(item.split, pair, item.pixels_sha256, item.height, item.width, foreground, ignored)
