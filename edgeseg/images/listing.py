"""The image files of a folder in the order in which a person counts, and what is passed over."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from edgeseg.images.dicom_pixels import DICOM_SUFFIXES, is_dicom

MOVING_SUFFIXES = frozenset({".gif"}) | DICOM_SUFFIXES
"""Suffixes of images that, named alone as a source, are read as video."""
IMAGE_SUFFIXES = MOVING_SUFFIXES | frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm"}
)
_SYSTEM_FILES = frozenset({"dicomdir", "thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin"})
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class FolderListing:
    """The content of a folder of images."""

    images: tuple[Path, ...]
    """The image files in natural order."""
    hidden: int = 0
    """Files that an operating system keeps for itself: AppleDouble, .DS_Store, Thumbs.db and their like."""
    foreign: dict[str, int] = field(default_factory=dict)
    """Suffix -> files with a suffix that is no image's."""

    def passed_over(self) -> str | None:
        """Say what was passed over; None where there was nothing."""
        parts = [f"{self.hidden} hidden or system file{'s' if self.hidden > 1 else ''}"] if self.hidden else []
        parts += [f"{count} {suffix or 'without a suffix'}" for suffix, count in sorted(self.foreign.items())]
        return ", ".join(parts) or None


def natural_name_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """The sorting key of a name: numbers in it count as numbers, so that frame2 comes before frame10."""
    parts = _DIGITS.split(name.casefold())
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts if part], name


def natural_key(path: Path) -> list[tuple[list[tuple[int, int, str]], str]]:
    """The sorting key of a path: its folders one by one, then its name, each in natural order."""
    return [natural_name_key(part) for part in (*path.parts[:-1], path.stem, path.suffix)]


def is_still(path: Path) -> bool:
    """Say whether a file named alone is read as still pictures, by its suffix; GIF and DICOM are read as video."""
    return path.suffix.lower() in IMAGE_SUFFIXES - MOVING_SUFFIXES


def is_hidden(name: str) -> bool:
    """Say whether a file or folder is the operating system's own: .DS_Store, ._NAME (AppleDouble), Thumbs.db."""
    return name.startswith(".") or name.casefold() in _SYSTEM_FILES


def list_folder(folder: Path, recursive: bool = False) -> FolderListing:
    """List a folder of images.

    Args:
        folder: It exists.
        recursive: Whether folders inside count too.
    """
    images: list[Path] = []
    foreign: Counter[str] = Counter()
    hidden = 0
    for path in _files(folder, recursive):
        if any(is_hidden(part) for part in path.relative_to(folder).parts):
            hidden += 1
        elif path.suffix.lower() in IMAGE_SUFFIXES or _is_unnamed_dicom(path):
            images.append(path)
        else:
            foreign[path.suffix.lower()] += 1
    return FolderListing(tuple(sorted(images, key=natural_key)), hidden, dict(foreign))


def list_images(folder: Path) -> list[Path]:
    """The image files directly inside a folder in natural order, without hidden ones."""
    return list(list_folder(folder).images)


def _is_unnamed_dicom(path: Path) -> bool:
    """Say whether a file is DICOM under a name that does not tell: IM000001, or the numbers of its identifier."""
    return (not path.suffix or path.suffix[1:].isdecimal()) and is_dicom(path)


def _files(folder: Path, recursive: bool) -> Iterable[Path]:
    """The entries of a folder; what is a folder, although named like an image, is one to `read_rgb` too."""
    if not recursive:
        return [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES or not path.is_dir()]
    return [path for path in folder.rglob("*") if not path.is_dir()]
