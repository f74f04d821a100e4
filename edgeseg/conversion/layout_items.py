"""Data sets that lie in a layout, pair by pair, with masks as labels or with classes as colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.conversion.item import COPIED, ConversionOptions, Exif, Item
from edgeseg.dataset import Layout, Pair, examine, load_pairs
from edgeseg.errors import BadInputError, UsageError
from edgeseg.frames import Frame
from edgeseg.images import (
    COLOUR_TABLES,
    ClassColours,
    MaskCoding,
    MaskEvidence,
    MaskValues,
    as_stored,
    coding_of,
    read_mask_values,
    read_oriented_rgb,
    read_rgb,
)
from edgeseg.images.mask_coding import IGNORED_LABEL


def items_of_layout(layout: Layout, options: ConversionOptions) -> Iterator[Item]:
    """Yield every pair of a data set as it is read in place.

    Raises:
        BadInputError: Anything that `edgeseg data inspect` calls a problem, but several classes.
        UsageError: A label that is not there.
    """
    pairs = [(split, pair) for split, part in layout.parts.items() for pair in part.pairing.pairs]
    if options.labels is not None:
        yield from _numbered_items(pairs, options.labels, options)
        return
    if options.exif == "refuse" and options.foreground is None:
        found = examine(pairs, classes=None)
        if found.problems:
            load_pairs(layout.root)  # says all of it
        coding = found.coding
    else:
        coding = _coding_of(pairs)
    if coding.labels:
        _refuse_other_labels(options.foreground, coding.labels)
    for split, pair in pairs:
        frame, values = _turned(pair, options.exif)
        labels, ignored = coding.apply(values)
        labels = _chosen(labels, options.foreground) if coding.rule == "labels" else (labels > 0).astype(np.uint8)
        yield Item(split, pair.name, pair.image if frame is None else None, frame, labels, ignored)


def _numbered_items(
    pairs: Sequence[tuple[str, Pair]], wanted: Sequence[int], options: ConversionOptions
) -> Iterator[Item]:
    for split, pair in pairs:
        frame, values = _turned(pair, options.exif)
        labels, ignored = _numbered(pair, values.values, wanted, options.ignore)
        yield Item(split, pair.name, pair.image if frame is None else None, frame, labels, ignored)


def _numbered(
    pair: Pair, values: NDArray[Any], wanted: Sequence[int], ignore: int | None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """Class indices of chosen labels, uint8 [H,W], and where nobody judges, or None.

    Raises:
        UsageError: The mask holds another label.
    """
    unjudged = [label for label in (ignore, IGNORED_LABEL) if label is not None and label not in wanted]
    others = sorted(set(map(int, np.unique(values))) - {*wanted, *unjudged})
    if others:
        raise UsageError(
            f"{pair.mask.name} holds labels that are not named",
            found=", ".join(map(str, others[:8])),
            expected=f"--labels {','.join(map(str, wanted))} and perhaps --ignore",
        )
    labels = np.zeros(values.shape, np.uint8)
    for index, label in enumerate(wanted):
        labels[values == label] = index
    ignored = np.isin(values, unjudged)
    return labels, ignored if bool(ignored.any()) else None


def _refuse_other_labels(foreground: Sequence[int] | None, labels: Sequence[int]) -> None:
    if foreground is not None and not set(foreground) <= set(labels):
        raise UsageError("there is no such label", found=f"labels {labels}", expected=f"{foreground}")


def _chosen(labels: NDArray[np.uint8], foreground: Sequence[int] | None) -> NDArray[np.uint8]:
    """Make the chosen labels one class; without a choice they stay as they are."""
    return labels if foreground is None else np.isin(labels, foreground).astype(np.uint8)


def own_colour_table(root: Path) -> Path | None:
    """The table of class colours that a data set brings; None where it brings none."""
    return next((root / name for name in COLOUR_TABLES if (root / name).is_file()), None)


def items_of_colours(layout: Layout, colours: ClassColours, options: ConversionOptions) -> Iterator[Item]:
    """Yield every pair of a data set whose masks have a colour for each class.

    Raises:
        BadInputError: A file that cannot be read, a colour that is no class, sizes that differ.
        UsageError: A label that is not there.
    """
    _refuse_other_labels(options.foreground, range(len(colours.colours) + 1))
    for split, part in layout.parts.items():
        for pair in part.pairing.pairs:
            labels = colours.labels(read_rgb(pair.mask), pair.mask)
            frame = _as_drawn(pair, labels.shape, options.exif)
            kept = pair.image if frame is None else None
            yield Item(split, pair.name, kept, frame, _chosen(labels, options.foreground))


def left_out(layout: Layout) -> tuple[str, ...]:
    """The names of files without a partner."""
    pairings = [part.pairing for part in layout.parts.values()]
    return tuple(path.name for found in pairings for path in (*found.lonely_images, *found.lonely_masks))


def _coding_of(pairs: Sequence[tuple[str, Pair]]) -> MaskCoding:
    coding, problems = coding_of([MaskEvidence.of(read_mask_values(pair.mask)) for _, pair in pairs])
    if problems:
        index, words = problems[0]
        raise BadInputError(f"the mask {pairs[index][1].mask} {words}")
    return coding


def _turned(pair: Pair, exif: Exif) -> tuple[Frame | None, MaskValues]:
    """The frame, None where the image's file can stay as it is, and the mask's values on it."""
    if exif == "refuse":
        frame, values = pair.read_values()
        return None if _can_stay(pair, read_oriented_rgb(pair.image)[1]) else frame, values
    values = read_mask_values(pair.mask)
    return _as_drawn(pair, values.values.shape, exif), values


def _as_drawn(pair: Pair, size: tuple[int, ...], exif: Exif) -> Frame | None:
    """The frame on which a mask of a size was drawn; None where the image's file can stay as it is.

    Raises:
        BadInputError: Another size, or a turned image of which nobody says how its mask was drawn.
    """
    frame, orientation = read_oriented_rgb(pair.image)
    if orientation != 1 and exif == "refuse":
        raise BadInputError(
            f"{pair.image.name} states an EXIF orientation",
            found=f"orientation {orientation}: was the mask drawn on the turned picture?",
            expected="a choice",
            next_command="add --exif upright (or stored)",
        )
    frame = as_stored(frame, orientation) if exif == "stored" else frame
    if frame.shape[:2] != size:
        raise BadInputError(
            f"{pair.image.name} and its mask have different sizes"
            + ("" if orientation == 1 else f" if the image is taken {exif}"),
            found=f"image {frame.shape[1]}x{frame.shape[0]}, mask {size[1]}x{size[0]}",
            expected="the same width and height",
        )
    return None if _can_stay(pair, orientation) else frame


def _can_stay(pair: Pair, orientation: int) -> bool:
    return pair.image.suffix.lower() in COPIED and orientation == 1
