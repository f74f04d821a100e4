"""Masks in which each colour is a class: the table that says which, and colours to labels."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import BadInputError
from edgeseg.frames import Frame
from edgeseg.plain_files import MOST_TEXT_BYTES, read_plain

Colour = tuple[int, int, int]
COLOUR_TABLES = ("class_dict.csv", "labelmap.txt")
"""Names under which data sets bring their table: CamVid's, and CVAT's."""
_CVAT_LINE = re.compile(r"([^:#][^:]*):\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*(?::.*)?")
_MOST_CLASSES = 63
_SHOWN = 8
_EXPECTED = "a CSV with the columns name, r, g, b, or CVAT's labelmap.txt; black is the background"


@dataclass(frozen=True)
class ClassColours:
    """The colours of classes in the order of their labels: the first has label 1; black is the background, 0."""

    colours: tuple[Colour, ...]
    names: tuple[str, ...]

    def labels(self, rgb: Frame, where: Path) -> NDArray[np.uint8]:
        """Turn colours into labels.

        Args:
            rgb: uint8 [H,W,3], the mask as it shows.
            where: Its file, for the error.

        Returns:
            uint8 [H,W]: 0 where it is black, else the number of the class.

        Raises:
            BadInputError: There is a colour that is no class.
        """
        keys = _keys(rgb)
        labels = np.zeros(keys.shape, np.uint8)
        known = keys == 0
        for label, colour in enumerate(self.colours, 1):
            here = keys == _key(colour)
            labels[here] = label
            known |= here
        if not known.all():
            raise BadInputError(
                f"the mask {where} has colours that are no class",
                found=colours_in_words(_counted(keys[~known]), rgb.shape[0] * rgb.shape[1]),
                expected=", ".join(f"{name} {_text(c)}" for name, c in zip(self.names, self.colours, strict=True)),
                next_command="add them to the table, or save the masks as PNG if JPEG smeared them",
            )
        return labels


def read_class_colours(table: Path) -> ClassColours:
    """Read a table of class colours: a CSV with the columns name, r, g, b, or CVAT's labelmap.txt.

    Raises:
        BadInputError: It is neither, or two classes share a colour.
    """
    try:
        text = read_plain(table, MOST_TEXT_BYTES).decode("utf-8-sig")
        rows = _cvat_rows(text) if table.suffix.lower() == ".txt" else _csv_rows(text)
        found = [(name, colour) for name, colour in rows if colour != (0, 0, 0)]
        colours = [colour for _, colour in found]
        if not found or len(set(colours)) < len(colours) or len(found) > _MOST_CLASSES:
            raise ValueError(f"{len(found)} classes of {len(set(colours))} colours")
        if not all(0 <= value <= 255 for colour in colours for value in colour):
            raise ValueError("a colour beyond 255")
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise BadInputError(
            f"{table} is no table of class colours", found=f"{type(error).__name__}: {error}", expected=_EXPECTED
        ) from error
    return ClassColours(tuple(colours), tuple(name for name, _ in found))


def colour_counts(rgb: Frame) -> Counter[Colour]:
    """Count the pixels of each colour of uint8 [H,W,3]."""
    return _counted(_keys(rgb))


def colours_in_words(counts: Mapping[Colour, int], pixels: int) -> str:
    """Name colours as R,G,B with their share, the most frequent first."""
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    shown = [f"{_text(colour)} ({count / pixels:.1%})" for colour, count in ranked[:_SHOWN]]
    return "; ".join([*shown, *([f"and {len(ranked) - _SHOWN} more"] if len(ranked) > _SHOWN else [])])


def _csv_rows(text: str) -> Iterable[tuple[str, Colour]]:
    for row in csv.DictReader(text.splitlines(), skipinitialspace=True):
        cells = {str(key).strip().casefold(): str(value).strip() for key, value in row.items()}
        yield cells["name"], (int(cells["r"]), int(cells["g"]), int(cells["b"]))


def _cvat_rows(text: str) -> Iterable[tuple[str, Colour]]:
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            found = _CVAT_LINE.fullmatch(line.strip())
            if found is None:
                raise ValueError(f"the line {line[:60]!r}")
            yield found[1], (int(found[2]), int(found[3]), int(found[4]))


def _key(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def _keys(rgb: Frame) -> NDArray[np.uint32]:
    planes = rgb.astype(np.uint32)
    return np.asarray(planes[..., 0] << 16 | planes[..., 1] << 8 | planes[..., 2], np.uint32)


def _counted(keys: NDArray[np.uint32]) -> Counter[Colour]:
    values, counts = np.unique(keys, return_counts=True)
    return Counter(
        {(int(v) >> 16, int(v) >> 8 & 255, int(v) & 255): int(n) for v, n in zip(values, counts, strict=True)}
    )


def _text(colour: Colour) -> str:
    return ",".join(map(str, colour))
