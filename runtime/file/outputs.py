"""The outputs of one run, checked before any work is done."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.errors import UsageError
from edgeseg.files import UnwritableError, check_writable
from edgeseg.runtime.video.clip import clip
from edgeseg.runtime.video.sinks import MaskSink, PictureSink, Sinks, mask_folder, picture_folder
from edgeseg.runtime.video.sound import Sound
from edgeseg.runtime.video.source import ClipTiming

CLIP_SUFFIX = ".mp4"


@dataclass(frozen=True)
class Outputs:
    """The paths that a run writes; None where nothing is asked for."""

    pictures: Path | None = None
    """A clip if it ends in .mp4, a folder of JPEG pictures if it has no suffix."""
    masks: Path | None = None
    """A folder, new or empty."""
    latency: Path | None = None
    """A JSON file."""
    record: Path | None = None
    """A clip of the pictures as they came."""

    @property
    def is_clip(self) -> bool:
        """True if pictures become a clip."""
        return self.pictures is not None and self.pictures.suffix.lower() == CLIP_SUFFIX

    def check(self, inputs: Sequence[Path]) -> None:
        """Refuse outputs that cannot be written or would hit an input or one another; nothing is created.

        Args:
            inputs: The files that the run reads: engine, passport, source.

        Raises:
            UsageError: An output is an input, lies in another output, or is of no known kind.
            UnwritableError: A place cannot be written, or a folder is not empty.
        """
        named = {"--out": self.pictures, "--masks": self.masks, "--latency": self.latency, "--record": self.record}
        given = {option: path for option, path in named.items() if path is not None}
        if self.pictures is not None and self.pictures.suffix and not self.is_clip:
            raise UsageError(
                f"--out {self.pictures} is no kind of output that edgeseg writes",
                found=self.pictures.suffix,
                expected="FILE.mp4, or a name without suffix for a folder of pictures",
            )
        if self.record is not None and self.record.suffix.lower() != CLIP_SUFFIX:
            raise UsageError(f"--record {self.record} is no clip", found=self.record.suffix, expected="FILE.mp4")
        for option, path in given.items():
            _refuse_input(option, path, inputs)
            check_writable(path)
            _refuse_wrong_kind(option, path, folder=option == "--masks" or (option == "--out" and not self.is_clip))
        _refuse_nested(given)

    @contextlib.contextmanager
    def open(self, timing: ClipTiming, sound: Sound | None = None) -> Iterator[Sinks]:
        """Open the sinks; what they write appears when the block ends well, else nothing does.

        Args:
            timing: The source's timing.
            sound: The source's sound, which clips take along.
        """
        with contextlib.ExitStack() as stack:
            pictures: list[PictureSink] = []
            masks: list[MaskSink] = []
            raw: list[PictureSink] = []
            if self.record is not None:
                raw.append(stack.enter_context(clip(self.record, timing, sound)))
            if self.masks is not None:
                masks.append(stack.enter_context(mask_folder(self.masks)))
            if self.pictures is not None:
                if self.is_clip:
                    pictures.append(stack.enter_context(clip(self.pictures, timing, sound)))
                else:
                    pictures.append(stack.enter_context(picture_folder(self.pictures)))
            yield Sinks(tuple(pictures), tuple(masks), tuple(raw))


def _refuse_input(option: str, path: Path, inputs: Sequence[Path]) -> None:
    for taken in inputs:
        same = path.resolve() == taken.resolve() or (path.exists() and taken.exists() and path.samefile(taken))
        if same:
            raise UsageError(
                f"{option} names what the run reads, and would overwrite it",
                found=path,
                expected="another path",
            )


def _refuse_wrong_kind(option: str, path: Path, folder: bool) -> None:
    if folder and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UnwritableError(
            f"{option} {path} exists and is not an empty folder",
            expected="a new or empty folder",
            next_command=f"choose another {option}, or remove {path}",
        )
    if not folder and path.is_dir():
        raise UnwritableError(f"{option} {path} is a folder", expected="the name of a file")


def _refuse_nested(given: dict[str, Path]) -> None:
    resolved = {option: path.resolve() for option, path in given.items()}
    for option, path in resolved.items():
        for other, outer in resolved.items():
            if option != other and (path == outer or outer in path.parents):
                raise UsageError(
                    f"{option} lies inside {other}",
                    found=f"{given[option]} and {given[other]}",
                    expected="outputs beside one another",
                )
