"""One pair of a converted data set, and how it is written."""

from __future__ import annotations

import io
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeseg.errors import BadInputError
from edgeseg.files import write_bytes
from edgeseg.frames import Frame
from edgeseg.images import encode_png

Exif = Literal["refuse", "upright", "stored"]
COPIED = frozenset({".jpg", ".jpeg", ".png"})
"""Suffixes of images that are copied byte for byte."""
_IGNORED = 255
_LABEL_COLOURS = ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128))


@dataclass(frozen=True)
class ConversionOptions:
    """The choices that the data do not make themselves."""

    foreground: tuple[int, ...] | None = None
    """The labels or categories that are the polyp; None keeps labels, and takes a single category."""
    exif: Exif = "refuse"
    """The picture on which masks were drawn, where image and mask state different EXIF orientations."""
    classes: Path | None = None
    """The table of the colours that are classes; None takes the one that the data set brings, where it does."""
    labels: tuple[int, ...] | None = None
    """Labels that become the class indices 0, 1, 2 and on; None keeps them."""
    ignore: int | None = None
    """A label that becomes 255, beside `labels`: pixels that nobody judges."""


@dataclass(frozen=True, eq=False)
class Item:
    """One pair to write."""

    split: str
    name: str
    image: Path | None
    """The file to copy; None where `frame` is to be written."""
    frame: Frame | None
    labels: NDArray[np.uint8]
    ignored: NDArray[np.bool_] | None = None


def write_item(folder: Path, item: Item, names: set[tuple[str, str]]) -> None:
    """Write an image and its mask into a split's folder.

    Args:
        folder: The split's.
        item: The pair.
        names: Split and name of what was written before; this one is added.

    Raises:
        BadInputError: The name was there before.
    """
    if (item.split, item.name) in names:
        raise BadInputError(f"two pictures share the name {item.name}", expected="one picture a name")
    names.add((item.split, item.name))
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    if item.image is not None:
        shutil.copyfile(item.image, folder / "images" / f"{item.name}{item.image.suffix.lower()}")
    else:
        assert item.frame is not None
        write_bytes(folder / "images" / f"{item.name}.png", encode_png(item.frame))
    write_bytes(folder / "masks" / f"{item.name}.png", _mask_png(item.labels, item.ignored))


def _mask_png(labels: NDArray[np.uint8], ignored: NDArray[np.bool_] | None) -> bytes:
    if ignored is None and int(labels.max(initial=0)) <= 1:
        return encode_png(labels * np.uint8(255))
    shown = labels if ignored is None else np.where(ignored, np.uint8(_IGNORED), labels)
    picture = Image.fromarray(shown)
    colours = [_LABEL_COLOURS[index % len(_LABEL_COLOURS)] if index else (0, 0, 0) for index in range(255)]
    palette = [channel or (64 if index else 0) for index, colour in enumerate(colours) for channel in colour]
    picture.putpalette([*palette, 224, 224, 192])
    data = io.BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()
