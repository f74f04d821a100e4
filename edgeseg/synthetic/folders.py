"""A whole synthetic data set on disk: `ROOT/{train,validation,test}/{images,masks}`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from edgeseg.dataset import SPLITS
from edgeseg.errors import BadInputError
from edgeseg.files import atomic_folder, check_writable, write_bytes
from edgeseg.images import encode_jpeg, write_png
from edgeseg.progress import Track, silent
from edgeseg.synthetic.stills import SMALLEST_SIDE_PX, render_scene

JPEG_QUALITY = 95
NEGATIVE_EVERY = 8
"""One picture in so many shows no polyp."""
_SPLIT_NUMBER = {"train": 0, "validation": 1, "test": 2}


def write_dataset(
    root: Path,
    seed: int,
    counts: Mapping[str, int],
    height: int = 256,
    width: int = 256,
    negatives: Collection[str] = SPLITS,
    track: Track = silent,
) -> None:
    """Render a data set: JPEG images and PNG masks; it appears whole or not at all.

    A picture depends on the seed, its split and its number alone: more pictures leave the first ones as they are.

    Args:
        root: A new or empty folder.
        seed: Zero or more.
        counts: Pictures in each of ``train``, ``validation`` and ``test``; a split of 0 is left out.
        height: Height of each picture in pixels, at least 32.
        width: Likewise.
        negatives: Splits in which every eighth picture shows no polyp; in the others each shows one or two.
        track: Shows progress.

    Raises:
        BadInputError: An unknown split, no pictures at all, a side below 32 pixels, or a place that cannot be written.
    """
    _check(counts, height, width)
    check_writable(root)
    pictures = [(split, number) for split, count in counts.items() for number in range(count)]
    with atomic_folder(root) as folder:
        for split, number in track(pictures, "pictures", len(pictures)):
            turn = number % NEGATIVE_EVERY
            polyps = 0 if turn == NEGATIVE_EVERY - 1 and split in negatives else 1 + turn // 6
            frame, mask = render_scene((seed, _SPLIT_NUMBER[split], number), height, width, polyps)
            name = f"{split}_{number:05d}"
            write_bytes(folder / split / "images" / f"{name}.jpg", encode_jpeg(frame, JPEG_QUALITY))
            write_png(folder / split / "masks" / f"{name}.png", mask)


def _check(counts: Mapping[str, int], height: int, width: int) -> None:
    unknown = sorted(counts.keys() - _SPLIT_NUMBER.keys())
    if unknown:
        raise BadInputError("no such split", found=", ".join(unknown), expected=", ".join(_SPLIT_NUMBER))
    if min(counts.values(), default=0) < 0 or sum(counts.values()) == 0:
        raise BadInputError("a data set without pictures", found=dict(counts), expected="at least one picture")
    if min(height, width) < SMALLEST_SIDE_PX:
        raise BadInputError(
            "the pictures are too small",
            found=f"{width}x{height}",
            expected=f"at least {SMALLEST_SIDE_PX} pixels a side",
        )
