"""A folder of pictures that show nothing to find, for `train --negatives`: images, frames, polyp-free windows."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pydantic

from edgeseg.dataset import Pair, has_splits, hash_files, load_images, load_pairs
from edgeseg.errors import BadInputError, UsageError
from edgeseg.files import atomic_folder, check_writable, write_bytes, write_text
from edgeseg.frames import Frame, resize_to_network
from edgeseg.images import list_images, write_png
from edgeseg.progress import Track, silent
from edgeseg.runtime.file.frame_choice import FrameChoice
from edgeseg.runtime.video.source import SourceFrame
from edgeseg.runtime.video.video_files import open_source
from edgeseg.shell import quoted
from edgeseg.values import Part, Value
from edgeseg.windows import Window, WindowRule, polyp_free_window

LIST_NAME = "negatives.csv"
COLUMNS = ("name", "source", "file", "frame", "top_px", "left_px", "side_px")
_COPIED = frozenset({".jpg", ".jpeg", ".png"})


@dataclass(frozen=True)
class NegativeSource:
    """A video, a folder of images or one image that shows no polyp, and which of its frames to take."""

    path: Path
    frames: FrameChoice


@dataclass(frozen=True)
class WindowSource:
    """A data set whose training pictures give one polyp-free window each, where they have one."""

    root: Path
    rule: WindowRule
    side_px: int | None = None
    """Windows are resized to this side; None leaves them as they are cut."""


class NegativesOfSource(Part):
    """The pictures that one source gave."""

    source: str
    """The source's name, without the folders above it."""
    frames: str | None
    """The chosen range; None for windows."""
    pictures: int
    seen: int
    """Frames or images looked at; windows are not found in all of them."""


class Negatives(Value):
    """A folder of negatives, as it was written."""

    pictures: int
    data_sha256: str
    """Hash of all pictures, as `train` counts them."""
    sources: tuple[NegativesOfSource, ...] = pydantic.Field(min_length=1)


@dataclass(frozen=True)
class _Row:
    """A line of the list."""

    name: str
    source: str
    file: str
    frame: int | None = None
    window: Window | None = None

    def cells(self) -> list[str]:
        window = [self.window.top, self.window.left, self.window.side] if self.window else [None] * 3
        return ["" if cell is None else str(cell) for cell in (self.name, self.source, self.file, self.frame, *window)]


def write_negatives(
    sources: Sequence[NegativeSource], windows: WindowSource | None, out: Path, track: Track = silent
) -> Negatives:
    """Write the pictures of all sources and a list that says what each came from.

    Frames of a video and windows become PNG; JPEG and PNG images are copied byte for byte, others become PNG. The
    same sources give the same bytes.

    Args:
        sources: Sources that show no polyp.
        windows: Data with polyps and masks, to take windows beside them.
        out: A new or empty folder; it appears whole or not at all.
        track: Shows progress.

    Raises:
        UsageError: No source, one that is given twice, or a range without a frame.
        BadInputError: A source that cannot be read, windows of a data set without splits, or `out` not writable.
    """
    pairs = _check(sources, windows, out)
    labels = _labels([source.path for source in sources] + ([windows.root] if windows else []))
    with atomic_folder(out) as folder:
        rows_of = [_write_frames(*source, folder, track) for source in zip(sources, labels, strict=False)]
        taken = [
            NegativesOfSource(source=label, frames=str(source.frames), pictures=len(rows), seen=len(rows))
            for source, label, rows in zip(sources, labels, rows_of, strict=False)
        ]
        if windows is not None:
            rows_of.append(_write_windows(pairs, windows, labels[-1], folder, track))
            counts = {"pictures": len(rows_of[-1]), "seen": len(pairs)}
            taken.append(NegativesOfSource(source=labels[-1], frames=None, **counts))
        rows = [row for rows in rows_of for row in rows]
        _write_list(folder / LIST_NAME, rows)
        data_sha256 = hash_files(list_images(folder))
    return Negatives(pictures=len(rows), data_sha256=data_sha256, sources=tuple(taken))


def _check(sources: Sequence[NegativeSource], windows: WindowSource | None, out: Path) -> list[Pair]:
    """Refuse what cannot be read, before anything is written; give the pairs that windows come from."""
    if not sources and windows is None:
        raise UsageError("nothing to take pictures from", expected="SOURCE, --windows DATA, or both")
    check_writable(out)
    given: set[Path] = set()
    for source in sources:
        if source.path.resolve() in given:
            raise UsageError(f"{source.path} is given twice", expected="all its ranges at once: clip.mp4@0:100,300:400")
        given.add(source.path.resolve())
        with open_source(source.path) as opened:
            source.frames.spans(opened.frame_count)
    return [] if windows is None else _train_pairs(windows.root)


def _train_pairs(root: Path) -> list[Pair]:
    if root.is_dir() and not has_splits(root):
        raise BadInputError(
            f"{root} has no splits, so windows could come from pictures that are kept for the test",
            expected="DIR/train/{images,masks}",
            next_command=f"edgeseg data split {quoted(root)} --out DIR",
        )
    return load_pairs(root, "train")


def _labels(paths: Sequence[Path]) -> list[str]:
    """A name for each source, unlike all others, without the folders above it."""
    labels: list[str] = []
    for path in paths:
        real = path.absolute()
        name = (
            real.parent.name if real.is_dir() and real.name == "images" else real.stem if real.is_file() else real.name
        )
        label, number = name, 2
        while label in labels:
            label, number = f"{name}-{number}", number + 1
        labels.append(label)
    return labels


def _write_frames(source: NegativeSource, label: str, folder: Path, track: Track) -> list[_Row]:
    images = load_images(source.path) if source.path.is_dir() else None
    with open_source(source.path) as opened:
        count = opened.frame_count
        total = None if count is None else len(source.frames.indices(count))
        return [
            _write_frame(frame, source.path if images is None else images[frame.index], label, folder)
            for frame in track(source.frames.of(opened), label, total)
        ]


def _write_frame(frame: SourceFrame, file: Path, label: str, folder: Path) -> _Row:
    """Copy an image that was read, or write the frame."""
    if file.suffix.lower() in _COPIED:
        name = f"{label}-{frame.name}{file.suffix.lower()}"
        write_bytes(folder / name, file.read_bytes())
    else:
        name = f"{label}-{frame.name}.png"
        write_png(folder / name, _rgb(frame))
    return _Row(name, label, file.name, frame.index)


def _write_windows(pairs: Sequence[Pair], source: WindowSource, label: str, folder: Path, track: Track) -> list[_Row]:
    rows = []
    for index, pair in enumerate(track(pairs, f"{label}, windows", len(pairs))):
        labelled = pair.read_labelled()
        frame, mask = labelled.frame, labelled.mask
        if labelled.ignored is not None:
            mask = np.where(labelled.ignored, np.uint8(255), mask)  # a polyp may lie there
        window = polyp_free_window(frame, mask, source.rule)
        if window is None:
            continue
        picture = window.of(frame)
        if source.side_px is not None:
            picture = resize_to_network(picture, source.side_px, source.side_px)
        name = f"{label}-window-{pair.name}.png"
        write_png(folder / name, picture)
        rows.append(_Row(name, label, f"train/images/{pair.image.name}", index, window))
    if not rows:
        raise BadInputError(
            f"no picture of {source.root} has a window without a polyp",
            found=f"{len(pairs)} training pictures",
            expected="polyps that leave room beside them, or a smaller --margin",
        )
    return rows


def _write_list(path: Path, rows: Sequence[_Row]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(row.cells() for row in rows)
    write_text(path, text.getvalue())


def _rgb(frame: SourceFrame) -> Frame:
    return np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_BGR2RGB), np.uint8)
