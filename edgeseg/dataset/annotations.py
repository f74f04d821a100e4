"""Annotations that are no masks yet: COCO, LabelMe, YOLO, boxes and arrays, and what makes masks of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from edgeseg.images import is_hidden
from edgeseg.plain_files import read_plain
from edgeseg.shell import quoted

_YOLO_LINE = re.compile(r"\s*\d+(?:\s+[\d.eE+-]+)+\s*")
_ARRAYS = frozenset({".npy", ".npz", ".mat", ".h5", ".nii"})
_BOX_VALUES = 5
"""Values in a YOLO line with a box: a class and four numbers; polygons have more."""
_MOST_BYTES = 2**30
"""The annotations of COCO itself take half of this."""
_LOOKED_AT = 2000
"""Files that are looked at before none is taken to be there."""

Kind = Literal["coco", "labelme", "yolo", "boxes", "arrays"]


@dataclass(frozen=True)
class Annotations:
    """The annotations that a data set has in place of masks."""

    kind: Kind
    words: str
    """Their kind, and the name of one file."""

    def next_command(self, root: Path) -> str:
        """The command, or the words where there is none, that leads to masks."""
        if self.kind in ("coco", "labelme", "yolo"):
            return f"edgeseg data convert {quoted(root)} --out DIR"
        if self.kind == "boxes":
            return "draw masks or polygons: a box does not outline a polyp"
        return "save each array as an 8-bit PNG: 0 is the background, 255 the polyp"


def annotations_in(root: Path) -> Annotations | None:
    """Find annotations of the kinds that people have instead of masks; None where there are none."""
    coco = coco_files(root)
    if coco:
        return Annotations("coco", f"COCO annotations ({coco[0].name})")
    if not root.is_dir():
        return None
    files = [path for path in islice(root.rglob("*"), _LOOKED_AT) if not is_hidden(path.name) and path.is_file()]
    for path in sorted(files):
        found = _kind_of(path)
        if found is not None:
            return found
    return None


def coco_files(source: Path) -> list[Path]:
    """The COCO files that a path names or a folder holds."""
    if source.is_file():
        return [source] if source.suffix.lower() == ".json" else []
    if not source.is_dir():
        return []
    found = [*source.glob("*.json"), *(source / "annotations").glob("*.json")]
    return sorted(
        path for path in found if not is_hidden(path.name) and _holds(path, ("images", "annotations", "categories"))
    )


def labelme_files(root: Path) -> list[Path]:
    """The LabelMe files below a folder."""
    return sorted(path for path in root.rglob("*.json") if not is_hidden(path.name) and _is_labelme(path))


def yolo_files(root: Path) -> list[Path]:
    """The files of YOLO polygons below a folder."""
    texts = [path for path in root.rglob("*.txt") if not is_hidden(path.name)]
    return sorted(path for path in texts if _yolo_values(path) > _BOX_VALUES)


def _kind_of(path: Path) -> Annotations | None:
    suffix = path.suffix.lower()
    if suffix == ".json" and _is_labelme(path):
        return Annotations("labelme", f"LabelMe polygons ({path.name})")
    if suffix == ".txt" and (values := _yolo_values(path)):
        kind: Kind = "yolo" if values > _BOX_VALUES else "boxes"
        return Annotations(kind, f"YOLO {'polygons' if kind == 'yolo' else 'boxes'} ({path.name})")
    if suffix == ".xml" and "<annotation" in _text(path)[:500]:
        return Annotations("boxes", f"boxes of Pascal VOC ({path.name})")
    return Annotations("arrays", f"arrays ({path.name})") if suffix in _ARRAYS else None


def _is_labelme(path: Path) -> bool:
    return _holds(path, ("shapes", "imagePath"))


def _yolo_values(path: Path) -> int:
    """The most values in a line of a YOLO file; 0 for any other text."""
    lines = [line for line in _text(path).splitlines() if line.strip()]
    return max((len(line.split()) for line in lines), default=0) if all(map(_YOLO_LINE.fullmatch, lines)) else 0


def _holds(path: Path, words: Iterable[str]) -> bool:
    text = _text(path)
    return bool(text) and all(re.search(f'"{word}"\\s*:', text) for word in words)


def _text(path: Path) -> str:
    try:
        return read_plain(path, _MOST_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return ""
