"""Any readable data set, COCO annotations and masks of single instances to `DIR/[SPLIT/]{images,masks}`."""

from __future__ import annotations

import io
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeseg.conversion.coco import chosen_categories, coco_files, mask_of, read_coco
from edgeseg.dataset import SPLITS, Pair, examine, find_layout, load_pairs
from edgeseg.dataset.layout import UNSPLIT, split_named
from edgeseg.errors import BadInputError, UsageError
from edgeseg.files import atomic_folder, check_writable, write_bytes
from edgeseg.frames import Frame, Mask
from edgeseg.images import (
    MaskCoding,
    as_stored,
    encode_png,
    list_images,
    read_mask,
    read_mask_values,
    read_oriented_rgb,
    read_rgb,
)
from edgeseg.progress import Track, silent
from edgeseg.values import Value

Exif = Literal["refuse", "upright", "stored"]
_COPIED = frozenset({".jpg", ".jpeg", ".png"})
_IGNORED = 255
_LABEL_COLOURS = ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128))


@dataclass(frozen=True)
class ConversionOptions:
    """The choices that the data do not make themselves."""

    foreground: tuple[int, ...] | None = None
    """The labels or categories that are the polyp; None keeps labels, and takes a single category."""
    exif: Exif = "refuse"
    """The picture on which masks were drawn, where image and mask state different EXIF orientations."""


class Conversion(Value):
    """A data set in the standard layout, as it was written."""

    source: str
    """The layout that was read."""
    pictures: dict[str, int]
    """Split -> pairs; `all` where there are no splits."""


@dataclass(frozen=True, eq=False)
class _Item:
    """One pair to write."""

    split: str
    name: str
    image: Path | None
    """The file to copy; None where `frame` is to be written."""
    frame: Frame | None
    labels: NDArray[np.uint8]
    ignored: NDArray[np.bool_] | None = None


def convert_dataset(
    source: Path, out: Path, options: ConversionOptions | None = None, track: Track = silent
) -> Conversion:
    """Write a data set in the standard layout.

    JPEG and PNG images are copied byte for byte, others become PNG; masks become PNG: 0 and 255, or a palette of labels
    where some pixels are ignored or there are several classes.

    Args:
        source: A data set, a COCO file or a folder with one, or images with a folder of instance masks each.
        out: A new or empty folder; it appears whole or not at all.
        options: The choices that the data do not make.
        track: Shows progress.

    Raises:
        UsageError: Several COCO categories and no choice, or a label that is not there.
        BadInputError: Anything that cannot be read.
    """
    options = options or ConversionOptions()
    check_writable(out)
    words, items = _items(source, options)
    counts: Counter[str] = Counter()
    with atomic_folder(out) as folder:
        names: set[tuple[str, str]] = set()
        for item in track(items, "converting"):
            _write(folder if item.split == UNSPLIT else folder / item.split, item, names)
            counts[item.split] += 1
    if not counts:
        raise BadInputError(f"{source} holds no pairs")
    order = [split for split in (*SPLITS, UNSPLIT) if split in counts]
    return Conversion(source=words, pictures={split: counts[split] for split in order})


def _items(source: Path, options: ConversionOptions) -> tuple[str, Iterator[_Item]]:
    files = coco_files(source)
    if files:
        return f"COCO, {', '.join(path.name for path in files)}", _of_coco(files, options)
    instances = _instance_folders(source)
    if instances:
        return f"{len(instances)} pictures with masks of instances", _of_instances(instances)
    return find_layout(source).words, _of_layout(source, options)


def _of_layout(source: Path, options: ConversionOptions) -> Iterator[_Item]:
    layout = find_layout(source)
    pairs = [(split, pair) for split, part in layout.parts.items() for pair in part.pairing.pairs]
    if options.exif == "refuse" and options.foreground is None:
        found = examine(pairs, several=True)
        if found.problems:
            load_pairs(source)  # says all of it
        coding = found.coding
    else:
        coding = _coding_of(pairs)
    foreground = options.foreground
    if foreground is not None and coding.labels and not set(foreground) <= set(coding.labels):
        raise UsageError("there is no such label", found=f"labels {coding.labels}", expected=f"{foreground}")
    for split, pair in pairs:
        frame, values = _turned(pair, options.exif)
        labels, ignored = coding.apply(values)
        if coding.rule != "labels":
            labels = (labels > 0).astype(np.uint8)
        if foreground is not None and coding.rule == "labels":
            labels = np.isin(labels, foreground).astype(np.uint8)
        yield _Item(split, pair.name, pair.image if frame is None else None, frame, labels, ignored)


def _coding_of(pairs: Sequence[tuple[str, Pair]]) -> MaskCoding:
    from edgeseg.images import MaskEvidence, coding_of

    coding, problems = coding_of([MaskEvidence.of(read_mask_values(pair.mask)) for _, pair in pairs])
    if problems:
        index, words = problems[0]
        raise BadInputError(f"the mask {pairs[index][1].mask} {words}")
    return coding


def _turned(pair: Pair, exif: Exif) -> tuple[Frame | None, Any]:
    """The frame, None where the image's file can stay as it is, and the mask's values on it."""
    _, orientation = read_oriented_rgb(pair.image)
    if exif == "refuse" or orientation == 1:
        frame, values = pair.read_values()
        return None if orientation == 1 and pair.image.suffix.lower() in _COPIED else frame, values
    frame, values = read_rgb(pair.image), read_mask_values(pair.mask)
    if exif == "stored":
        frame = as_stored(frame, orientation)
    if frame.shape[:2] != values.values.shape:
        raise BadInputError(
            f"{pair.image.name} and its mask have different sizes if the image is taken {exif}",
            found=f"image {frame.shape[1]}x{frame.shape[0]}, mask {values.values.shape[1]}x{values.values.shape[0]}",
            expected="the same width and height",
        )
    return frame, values


def _of_coco(files: Sequence[Path], options: ConversionOptions) -> Iterator[_Item]:
    read = [read_coco(path) for path in files]
    categories = chosen_categories(read, options.foreground)
    for file in read:
        split = _split_in_name(file.path) if len(read) > 1 else UNSPLIT
        for picture in file.pictures:
            frame = read_rgb(picture.image)
            if frame.shape[:2] != (picture.height, picture.width):
                raise BadInputError(
                    f"{picture.image} has another size than {file.path.name} says",
                    found=f"{frame.shape[1]}x{frame.shape[0]}",
                    expected=f"{picture.width}x{picture.height}",
                )
            mask = mask_of(picture, categories, file.path)
            kept = picture.image if picture.image.suffix.lower() in _COPIED else None
            yield _Item(split, picture.image.stem, kept, None if kept else frame, (mask > 0).astype(np.uint8))


def _split_in_name(path: Path) -> str:
    """The split that a COCO file's name tells: instances_val2017.json, or train/_annotations.coco.json."""
    words = [re.sub(r"\d+$", "", word) for word in re.split(r"[_\-. ]+", f"{path.parent.name}_{path.stem}")]
    found = [split for word in words if (split := split_named(word))]
    if not found:
        raise BadInputError(f"{path} does not tell its split by its name", expected="train, val or test in it")
    return found[-1]


def _instance_folders(source: Path) -> list[Path]:
    """Folders ID/{images,masks} with one image and several masks of instances."""
    if not source.is_dir():
        return []
    root = source
    inner = sorted(path for path in root.iterdir() if path.is_dir())
    if len(inner) == 1:
        return _instance_folders(inner[0])
    cases = [case for case in inner if (case / "images").is_dir() and (case / "masks").is_dir()]
    several = [case for case in cases if len(list_images(case / "masks")) > 1]
    one_image = all(len(list_images(case / "images")) == 1 for case in cases)
    return cases if several and one_image and not _names_pair(several[0]) else []


def _names_pair(case: Path) -> bool:
    images, masks = list_images(case / "images"), list_images(case / "masks")
    return bool({path.stem for path in images} & {path.stem for path in masks})


def _of_instances(cases: Sequence[Path]) -> Iterator[_Item]:
    for case in cases:
        (image,) = list_images(case / "images")
        frame = read_rgb(image)
        labels = np.zeros(frame.shape[:2], np.uint8)
        for path in list_images(case / "masks"):
            mask: Mask = read_mask(path)
            if mask.shape != labels.shape:
                raise BadInputError(f"{path} has another size than its image", found=mask.shape, expected=labels.shape)
            labels[mask > 0] = 1
        kept = image if image.suffix.lower() in _COPIED else None
        yield _Item(UNSPLIT, image.stem, kept, None if kept else frame, labels)


def _write(folder: Path, item: _Item, names: set[tuple[str, str]]) -> None:
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
