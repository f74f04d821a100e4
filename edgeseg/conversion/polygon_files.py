"""Polygons with one file for each picture: LabelMe's JSON and YOLO's text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.conversion.coco import segmentation_mask
from edgeseg.conversion.item import COPIED, ConversionOptions, Item
from edgeseg.dataset.layout import UNSPLIT, split_named
from edgeseg.errors import BadInputError, UsageError
from edgeseg.files import read_json, read_text
from edgeseg.images import list_folder, read_oriented_rgb

Shape = tuple[str, list[float]]
"""The name or number of a class, and x, y, x, y and so on in pixels."""


def items_of_labelme(files: Sequence[Path], root: Path, options: ConversionOptions) -> Iterator[Item]:
    """Yield the pictures of LabelMe files; every polygon, rectangle and circle is the polyp.

    Raises:
        BadInputError: A file or its picture cannot be read, or a shape outlines nothing.
        UsageError: There are several classes, which LabelMe names and does not number.
    """
    _refuse_foreground(options)
    names: set[str] = set()
    for path, image in _with_pictures(files, root):
        try:
            document = read_json(path, "LabelMe's polygons", "utf-8-sig")
            shapes = [(str(shape["label"]), _outline(shape)) for shape in document["shapes"]]
            size = document.get("imageHeight"), document.get("imageWidth")
        except (ValueError, ArithmeticError, KeyError, TypeError, AttributeError) as error:
            raise _unreadable(path, error) from error
        names |= {name for name, _ in shapes}
        if len(names) > 1:
            raise UsageError(
                f"the shapes below {root} have several names", found=", ".join(sorted(names)), expected="one class"
            )
        item = _item(path, image, root, shapes, None)
        if None not in size and size != item.labels.shape:
            height, width = item.labels.shape
            raise BadInputError(
                f"{image} has another size than {path.name} says",
                found=f"{width}x{height}",
                expected=f"{size[1]}x{size[0]}",
            )
        yield item


def items_of_yolo(files: Sequence[Path], root: Path, options: ConversionOptions) -> Iterator[Item]:
    """Yield the pictures of YOLO's text files: a class and a polygon in shares of width and height on each line.

    Raises:
        BadInputError: A file or its picture cannot be read.
        UsageError: There are several classes, and none was chosen.
    """
    classes: set[str] = set()
    for path, image in _with_pictures(files, root):
        try:
            text = read_text(path, "YOLO's polygons")
            lines = [line.split() for line in text.splitlines() if line.strip()]
            shapes = [(line[0], [float(value) for value in line[1:]]) for line in lines]
        except ValueError as error:
            raise _unreadable(path, error) from error
        classes |= {name for name, _ in shapes}
        if options.foreground is None and len(classes) > 1:
            raise UsageError(
                "there are several classes",
                found=", ".join(sorted(classes)),
                expected="--foreground NUMBER[,NUMBER] for the polyp",
            )
        yield _item(
            path, image, root, shapes, None if options.foreground is None else set(map(str, options.foreground))
        )


def _item(path: Path, image: Path, root: Path, shapes: Sequence[Shape], chosen: set[str] | None) -> Item:
    frame, orientation = read_oriented_rgb(image)  # both tools show the picture upright
    height, width = frame.shape[:2]
    scale = np.array([width, height]) if path.suffix.lower() == ".txt" else np.ones(2)
    labels = np.zeros((height, width), np.uint8)
    for name, outline in shapes:
        if chosen is not None and name not in chosen:
            continue
        try:
            corners = np.asarray(outline, np.float64).reshape(-1, 2) * scale
            labels[segmentation_mask([corners.ravel().tolist()], height, width)] = 1
        except ValueError as error:
            raise _unreadable(path, error) from error
    can_stay = image.suffix.lower() in COPIED and orientation == 1
    return Item(_split_of(image, root), image.stem, image if can_stay else None, None if can_stay else frame, labels)


def _with_pictures(files: Sequence[Path], root: Path) -> list[tuple[Path, Path]]:
    """Each file with the picture of its name."""
    pictures: dict[tuple[str, str | None], list[Path]] = {}
    for path in list_folder(root, recursive=True).images:
        pictures.setdefault((path.stem, _named_split(path, root)), []).append(path)
    found = []
    for file in files:
        images = pictures.get((file.stem, _named_split(file, root)), [])
        if len(images) != 1:
            raise BadInputError(
                f"{file} belongs to {'several pictures' if images else 'no picture'}",
                found=", ".join(map(str, images[:3])) or f"no image {file.stem} below {root}",
                expected="one picture of the same name",
            )
        found.append((file, images[0]))
    return found


def _named_split(path: Path, root: Path) -> str | None:
    return next((split for part in path.relative_to(root).parts[:-1] if (split := split_named(part))), None)


def _split_of(image: Path, root: Path) -> str:
    return _named_split(image, root) or UNSPLIT


def _outline(shape: dict[str, Any]) -> list[float]:
    """The corners of a LabelMe shape as x, y, x, y and so on."""
    points: NDArray[np.float64] = np.asarray(shape["points"], np.float64).reshape(-1, 2)
    kind = shape.get("shape_type") or "polygon"
    if kind == "polygon":
        return list(map(float, points.ravel()))
    if kind == "rectangle" and len(points) == 2:
        (left, top), (right, bottom) = points.tolist()
        return [left, top, right, top, right, bottom, left, bottom]
    if kind == "circle" and len(points) == 2:
        radius = float(np.hypot(*(points[1] - points[0])))
        angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
        turned = points[0] + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return list(map(float, turned.ravel()))
    raise ValueError(f"a shape of the kind {kind!r}, of {len(points)} points")


def _refuse_foreground(options: ConversionOptions) -> None:
    if options.foreground is not None:
        raise UsageError("--foreground works with numbered labels, and LabelMe names its classes")


def _unreadable(path: Path, error: Exception) -> BadInputError:
    return BadInputError(
        f"{path} has outlines that cannot be read", found=error, expected="polygons of three corners or more"
    )
