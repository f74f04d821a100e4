"""The file of clips: which videos, which frames of them show a lesion, and what is demanded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from edgeseg.artifacts import ClipLimits
from edgeseg.errors import BadInputError
from edgeseg.files import read_toml, sha256_file, sha256_of_hashes
from edgeseg.shell import quoted
from edgeseg.values import Part, describe_validation

Range = tuple[int, int]
"""First and last frame, both included, 0 for the clip's first."""
Box = tuple[int, float, float, float, float]
"""Frame, left, top, right, bottom in pixels; right and bottom lie outside."""
DOCUMENT = "docs/how-to/verify-clips.md"


class LesionEntry(Part):
    """One lesion of a clip: when it is in view, and where if somebody knows."""

    model_config = pydantic.ConfigDict(allow_inf_nan=False)

    name: str | None = None
    frames: tuple[Range, ...] = ()
    """The frames that show it; may be left out where `masks` tells."""
    boxes: tuple[Box, ...] = ()
    """Boxes around it in some frames; straight lines between, the nearest before the first and after the last."""
    masks: Path | None = None
    """A folder with `frame_000000.png` and so on: its mask in each frame that shows it."""

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> LesionEntry:
        if self.boxes and self.masks is not None:
            raise ValueError("a lesion has boxes or masks, not both")
        if not self.frames and self.masks is None:
            raise ValueError("a lesion needs frames = [[first, last], ...], or masks that tell them")
        _check_ranges(self.frames)
        if any(not (left < right and top < bottom) for _, left, top, right, bottom in self.boxes):
            raise ValueError("a box is [frame, left, top, right, bottom] with left < right and top < bottom")
        indices = [box[0] for box in self.boxes]
        if indices != sorted(set(indices)):
            raise ValueError("boxes stand in the order of their frames, one for each")
        return self


class ClipEntry(Part):
    """One clip, as a person wrote it down."""

    path: Path
    shown: tuple[Range, ...] = ()
    """The frames that show the one lesion of the clip."""
    lesions: tuple[LesionEntry, ...] = ()
    polyp: bool = True
    """False where the clip shows none."""

    @pydantic.model_validator(mode="after")
    def _one_form(self) -> ClipEntry:
        if [bool(self.shown), bool(self.lesions), not self.polyp].count(True) != 1:
            raise ValueError("a clip has one of: shown = [[first, last], ...], [[clips.lesions]], polyp = false")
        _check_ranges(self.shown)
        names = [lesion.name for lesion in self.lesions if lesion.name is not None]
        if len(set(names)) < len(names):
            raise ValueError(f"two lesions of {self.path} share a name")
        return self

    def all_lesions(self) -> tuple[LesionEntry, ...]:
        """The lesions, with a name each."""
        if self.shown:
            return (LesionEntry(name="polyp", frames=self.shown),)
        return tuple(
            lesion.model_copy(update={"name": lesion.name or f"lesion {number}"})
            for number, lesion in enumerate(self.lesions, 1)
        )


class ClipFile(Part):
    """The file of clips."""

    clips: tuple[ClipEntry, ...] = pydantic.Field(min_length=1)
    limits: ClipLimits = ClipLimits()


@dataclass(frozen=True)
class Clip:
    """One clip whose files were found."""

    name: str
    """The path as the file of clips has it."""
    path: Path
    lesions: tuple[LesionEntry, ...]
    """The lesions, each with a name, and with masks by a path that can be opened."""


@dataclass(frozen=True)
class ClipSet:
    """The clips of one file."""

    path: Path
    clips: tuple[Clip, ...]
    limits: ClipLimits
    sha256: str
    """Hash of the file, of every video and of every mask."""


def read_clips(path: Path) -> ClipSet:
    """Read a file of clips.

    A relative path is taken from the file's folder and must stay in it, symbolic links followed: a set of clips
    that is copied or signed as a folder then never reads what lies outside. An absolute path is taken as it stands.

    Raises:
        BadInputError: The file is missing, no TOML or has a key that is none, or a clip is missing or lies outside.
    """
    document = read_toml(path, f"a file of clips, as {DOCUMENT} has it")
    try:
        file = ClipFile.model_validate(document)
    except pydantic.ValidationError as error:
        raise BadInputError(
            f"the file of clips {path} does not hold together",
            found=describe_validation(error, _KEYS),
            expected=f"the keys of {DOCUMENT}",
        ) from error
    clips = tuple(_found(path, entry) for entry in file.clips)
    names = [clip.name for clip in clips]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadInputError(f"{path} names a clip twice", found=twice, expected="each clip once")
    masks = [lesion.masks for clip in clips for lesion in clip.lesions if lesion.masks is not None]
    drawn = [file for folder in masks for file in sorted(folder.glob("frame_*.png"))]
    hashes = [sha256_file(file) for file in (path, *(clip.path for clip in clips), *drawn)]
    return ClipSet(path, clips, file.limits, sha256_of_hashes(hashes))


_KEYS = [key for part in (ClipFile, ClipEntry, LesionEntry, ClipLimits) for key in part.model_fields]


def _found(file: Path, entry: ClipEntry) -> Clip:
    lesions = tuple(
        lesion if lesion.masks is None else lesion.model_copy(update={"masks": _inside(file, lesion.masks, "masks")})
        for lesion in entry.all_lesions()
    )
    return Clip(str(entry.path), _inside(file, entry.path, "clip"), lesions)


def _inside(file: Path, named: Path, what: str) -> Path:
    folder = file.absolute().parent
    path = folder / named
    try:
        real, is_there = path.resolve(), path.is_dir() if what == "masks" else path.is_file()
    except (OSError, ValueError, RuntimeError):  # no file has such a name, or links lead in a circle
        real, is_there = path, False
    if not named.is_absolute() and not real.is_relative_to(folder.resolve()):
        raise BadInputError(
            f"the {what} {named} of {file} lies outside its folder",
            found=real,
            expected=f"a path below {folder}, or an absolute one",
        )
    if not is_there:
        raise BadInputError(
            f"the {what} {named} of {file} {'is no folder' if what == 'masks' else 'is no file'}",
            expected="a folder of masks" if what == "masks" else "a video file",
            next_command=f"ls {quoted(path.parent)}",
        )
    return path


def _check_ranges(ranges: tuple[Range, ...]) -> None:
    last: Any = -1
    for first, end in ranges:
        if not last < first <= end:
            raise ValueError("frame ranges are [[first, last], ...], both ends included, in order and apart")
        last = end
