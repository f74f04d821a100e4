"""COCO annotations: polygons and run lengths to label masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import BadInputError, UsageError
from edgeseg.frames import Mask
from edgeseg.images import list_folder
from edgeseg.plain_files import is_plain, read_plain
from edgeseg.strict_text import parse_json

_SCALE = 5
_MOST_BYTES = 2**30
"""The annotations of COCO itself take half of this."""
_LONGEST_OUTLINE_PX = 2_000_000
"""The walk along an outline takes a few hundred bytes a pixel."""
_LARGEST_SHIFT = 60
"""Bits of a run length: more are no number of pixels, and take time in the square of their count."""


@dataclass(frozen=True)
class CocoPicture:
    """One picture of a COCO file and the annotations on it."""

    image: Path
    height: int
    width: int
    annotations: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class CocoFile:
    """A COCO file with annotations of masks."""

    path: Path
    pictures: tuple[CocoPicture, ...]
    categories: dict[int, str]


def read_coco(path: Path) -> CocoFile:
    """Read a COCO file and find its pictures.

    Raises:
        BadInputError: It is no COCO file, or a picture that it names is not there.
    """
    try:
        document = parse_json(read_plain(path, _MOST_BYTES).decode("utf-8"))
        categories = {int(entry["id"]): str(entry.get("name", entry["id"])) for entry in document["categories"]}
        annotations: dict[int, list[dict[str, Any]]] = {}
        for entry in document["annotations"]:
            if entry.get("segmentation"):
                annotations.setdefault(entry["image_id"], []).append(entry)
        root = path.parent.parent if path.parent.name == "annotations" else path.parent
        files = _files_by_name(root)
        pictures = tuple(
            CocoPicture(
                _found(path, str(entry["file_name"]).replace("\\", "/"), root, files),
                int(entry["height"]),
                int(entry["width"]),
                tuple(annotations.get(entry["id"], ())),
            )
            for entry in document["images"]
        )
    except (OSError, ValueError, ArithmeticError, KeyError, TypeError, AttributeError) as error:
        raise BadInputError(
            f"{path} is no COCO file with masks",
            found=f"{type(error).__name__}: {error}",
            expected="images, categories and annotations with a segmentation",
        ) from error
    return CocoFile(path, pictures, categories)


def chosen_categories(files: Sequence[CocoFile], foreground: Sequence[int] | None) -> frozenset[int]:
    """The categories that are the polyp.

    Raises:
        UsageError: There are several and none was chosen, or one was chosen that is not there.
    """
    named = {number: name for file in files for number, name in file.categories.items()}
    words = ", ".join(f"{number} {name}" for number, name in sorted(named.items()))
    if foreground is None:
        if len(named) > 1:
            raise UsageError(
                "there are several categories", found=words, expected="--foreground NUMBER[,NUMBER] for the polyp"
            )
        return frozenset(named)
    if not set(foreground) <= named.keys():
        raise UsageError(f"there is no such category: {sorted(set(foreground) - named.keys())}", found=words)
    return frozenset(foreground)


def mask_of(picture: CocoPicture, categories: frozenset[int], where: Path) -> Mask:
    """The mask of a picture, uint8 [H,W] of 0 and 255: everything of the chosen categories.

    Raises:
        BadInputError: A segmentation that is neither polygons nor run lengths of the picture's size.
    """
    mask = np.zeros((picture.height, picture.width), np.uint8)
    for entry in picture.annotations:
        try:
            if entry.get("category_id") not in categories:
                continue
            marked = segmentation_mask(entry["segmentation"], picture.height, picture.width)
        except (ValueError, ArithmeticError, TypeError, KeyError, IndexError) as error:
            raise BadInputError(
                f"{where} has a segmentation that cannot be read, on {picture.image.name}",
                found=error,
                expected="polygons, or run lengths of the picture's size",
            ) from error
        mask[marked] = 255
    return mask


def segmentation_mask(segmentation: Any, height: int, width: int) -> NDArray[np.bool_]:
    """A COCO segmentation as bool [H,W]: a list of polygons, or run lengths, plain or compressed."""
    if isinstance(segmentation, list):
        mask = np.zeros((height, width), np.bool_)
        for polygon in segmentation:
            mask |= _filled(np.asarray(polygon, np.float64).reshape(-1, 2), height, width)
        return mask
    stated_height, stated_width = segmentation["size"]
    if (stated_height, stated_width) != (height, width):
        raise ValueError(f"run lengths for {stated_width}x{stated_height} on a picture of {width}x{height}")
    counts = segmentation["counts"]
    runs = list(_decompressed(counts)) if isinstance(counts, str) else [int(count) for count in counts]
    if sum(runs) != height * width or min(runs, default=0) < 0:
        raise ValueError(f"run lengths of {sum(runs)} pixels on a picture of {height * width}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def _filled(corners: NDArray[np.float64], height: int, width: int) -> NDArray[np.bool_]:
    """Fill one polygon as pycocotools does, to the pixel.

    The outline is walked on a grid five times as fine; each step into another column toggles inside and outside from
    its row on. Source: cocoapi, common/maskApi.c, rleFrPoly.
    """
    if len(corners) < 3 or not np.isfinite(corners).all():
        raise ValueError(f"a polygon of {len(corners)} corners")
    length = np.abs(np.roll(corners, -1, axis=0) - corners).max(axis=1).sum()
    if not length <= _LONGEST_OUTLINE_PX:
        raise ValueError(f"an outline of {length:.3g} pixels, more than {_LONGEST_OUTLINE_PX}")
    fine = np.trunc(_SCALE * corners + 0.5).astype(np.int64)
    u, v = (np.concatenate(parts) for parts in zip(*map(_steps, fine, np.roll(fine, -1, axis=0)), strict=True))
    moved = np.flatnonzero(u[1:] != u[:-1]) + 1
    columns = (np.where(u[moved] < u[moved - 1], u[moved], u[moved] - 1) + 0.5) / _SCALE - 0.5
    rows = np.ceil(np.clip((np.minimum(v[moved], v[moved - 1]) + 0.5) / _SCALE - 0.5, 0, height)).astype(np.int64)
    inside = (np.floor(columns) == columns) & (columns >= 0) & (columns <= width - 1)
    toggles = columns[inside].astype(np.int64) * height + rows[inside]
    parity = np.cumsum(np.bincount(toggles, minlength=height * width + 1)[: height * width]) % 2
    return np.asarray(parity.reshape(width, height).T == 1)


def _steps(start: NDArray[np.int64], end: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The points of the fine grid on one edge, both ends included, in the edge's direction."""
    along = 0 if abs(end[0] - start[0]) >= abs(end[1] - start[1]) else 1
    low, high = (start, end) if start[along] <= end[along] else (end, start)
    count = int(high[along] - low[along])
    slope = (high[1 - along] - low[1 - along]) / count if count else 0.0
    t = np.arange(count + 1) if low is start else np.arange(count, -1, -1)
    main, cross = low[along] + t, np.trunc(low[1 - along] + slope * t + 0.5).astype(np.int64)
    return (main, cross) if along == 0 else (cross, main)


def _decompressed(text: str) -> Iterator[int]:
    """COCO's compressed run lengths: 6 bits a character from '0' on, 5 of them value; differences from two before.

    Source: cocoapi, common/maskApi.c, rleFrString.
    """
    runs: list[int] = []
    position = 0
    while position < len(text):
        value = shift = 0
        while True:
            bits = ord(text[position]) - 48
            value |= (bits & 31) << shift
            position, shift = position + 1, shift + 5
            if shift > _LARGEST_SHIFT:
                raise ValueError("a run length that no picture has")
            if not bits & 32:
                break
        if bits & 16:
            value -= 1 << shift
        if len(runs) > 2:
            value += runs[-2]
        runs.append(value)
    return iter(runs)


def _files_by_name(root: Path) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for path in list_folder(root, recursive=True).images:
        files.setdefault(path.name, []).append(path)
    return files


def _found(coco: Path, name: str, root: Path, files: dict[str, list[Path]]) -> Path:
    direct = [folder / name for folder in (coco.parent, root) if is_plain(folder / name)]
    candidates = direct[:1] or files.get(Path(name).name, [])
    if len(candidates) != 1:
        raise BadInputError(
            f"{coco} names {name}, of which there {'are several' if candidates else 'is none'}",
            found=", ".join(map(str, candidates[:3])) or f"no such picture below {root}",
            expected="one picture of that name",
        )
    return candidates[0]
