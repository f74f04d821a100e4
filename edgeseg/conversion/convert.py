"""Any readable data set, polygons and masks of single instances to `DIR/[SPLIT/]{images,masks}`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edgeseg.conversion.coco import chosen_categories, mask_of, read_coco
from edgeseg.conversion.item import COPIED, ConversionOptions, Item, write_item
from edgeseg.conversion.layout_items import items_of_colours, items_of_layout, left_out, own_colour_table
from edgeseg.conversion.polygon_files import items_of_labelme, items_of_yolo
from edgeseg.dataset import SPLITS, annotations_in, coco_files, find_layout, holds_masks, labelme_files, yolo_files
from edgeseg.dataset.layout import UNSPLIT, split_named
from edgeseg.errors import BadInputError
from edgeseg.files import atomic_folder, check_writable
from edgeseg.frames import Mask
from edgeseg.images import is_hidden, list_images, read_class_colours, read_mask, read_rgb
from edgeseg.progress import Track, silent
from edgeseg.values import Value


class Conversion(Value):
    """A data set in the standard layout, as it was written."""

    source: str
    """The layout that was read."""
    pictures: dict[str, int]
    """Split -> pairs; `all` where there are no splits."""
    left_out: tuple[str, ...] = ()
    """The images without a mask and masks without an image."""


def convert_dataset(
    source: Path, out: Path, options: ConversionOptions | None = None, track: Track = silent
) -> Conversion:
    """Write a data set in the standard layout.

    JPEG and PNG images are copied byte for byte, others become PNG; masks become PNG: 0 and 255, or a palette of labels
    where some pixels are ignored or there are several classes.

    Args:
        source: A data set, a COCO file or a folder with one, images with LabelMe's or YOLO's polygons, or images with a
            folder of instance masks each.
        out: A new or empty folder; it appears whole or not at all.
        options: The choices that the data do not make.
        track: Shows progress.

    Raises:
        UsageError: Several COCO categories and no choice, or a label that is not there.
        BadInputError: Anything that cannot be read.
    """
    options = options or ConversionOptions()
    check_writable(out)
    words, lonely, items = _items(source, options)
    counts: Counter[str] = Counter()
    with atomic_folder(out) as folder:
        names: set[tuple[str, str]] = set()
        for item in track(items, "converting"):
            write_item(folder if item.split == UNSPLIT else folder / item.split, item, names)
            counts[item.split] += 1
    if not counts:
        raise BadInputError(f"{source} holds no pairs")
    order = [split for split in (*SPLITS, UNSPLIT) if split in counts]
    return Conversion(source=words, pictures={split: counts[split] for split in order}, left_out=lonely)


def _items(source: Path, options: ConversionOptions) -> tuple[str, tuple[str, ...], Iterator[Item]]:
    """The layout in words, the files that are left out, and the pairs."""
    files = coco_files(source)
    if files:
        return f"COCO, {', '.join(path.name for path in files)}", (), _of_coco(files, options)
    instances = _instance_folders(source)
    if instances:
        return f"{len(instances)} pictures with masks of instances", (), _of_instances(instances)
    kind = found.kind if (found := annotations_in(source)) and not holds_masks(source) else None
    if kind == "labelme":
        return "LabelMe polygons", (), items_of_labelme(labelme_files(source), source, options)
    if kind == "yolo":
        return "YOLO polygons", (), items_of_yolo(yolo_files(source), source, options)
    layout = find_layout(source)
    table = options.classes or own_colour_table(layout.root)
    if table is None:
        return layout.words, left_out(layout), items_of_layout(layout, options)
    items = items_of_colours(layout, read_class_colours(table), options)
    return f"{layout.words}, colours by {table.name}", left_out(layout), items


def _of_coco(files: Sequence[Path], options: ConversionOptions) -> Iterator[Item]:
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
            kept = picture.image if picture.image.suffix.lower() in COPIED else None
            yield Item(split, picture.image.stem, kept, None if kept else frame, (mask > 0).astype(np.uint8))


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
    inner = sorted(path for path in root.iterdir() if path.is_dir() and not is_hidden(path.name))
    if len(inner) == 1:
        return _instance_folders(inner[0])
    cases = [case for case in inner if (case / "images").is_dir() and (case / "masks").is_dir()]
    several = [case for case in cases if len(list_images(case / "masks")) > 1]
    one_image = all(len(list_images(case / "images")) == 1 for case in cases)
    return cases if several and one_image and not _names_pair(several[0]) else []


def _names_pair(case: Path) -> bool:
    images, masks = list_images(case / "images"), list_images(case / "masks")
    return bool({path.stem for path in images} & {path.stem for path in masks})


def _of_instances(cases: Sequence[Path]) -> Iterator[Item]:
    for case in cases:
        (image,) = list_images(case / "images")
        frame = read_rgb(image)
        labels = np.zeros(frame.shape[:2], np.uint8)
        for path in list_images(case / "masks"):
            mask: Mask = read_mask(path)
            if mask.shape != labels.shape:
                raise BadInputError(f"{path} has another size than its image", found=mask.shape, expected=labels.shape)
            labels[mask > 0] = 1
        kept = image if image.suffix.lower() in COPIED else None
        yield Item(UNSPLIT, image.stem, kept, None if kept else frame, labels)
