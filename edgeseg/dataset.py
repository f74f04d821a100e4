"""The image-and-mask data set: `DIR/{train,validation,test}/{images,masks}`, or one unsplit `DIR/{images,masks}`.

Pairs are joined by file stem. A mask may have another suffix than its image.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.errors import BadInputError
from edgeseg.files import sha256_file, sha256_of_hashes
from edgeseg.frames import Frame, Mask
from edgeseg.images import list_images, read_mask, read_rgb
from edgeseg.shell import quoted

SPLITS = ("train", "validation", "test")
LAYOUT = "DIR/{train,validation,test}/{images,masks}, or DIR/{images,masks}"


@dataclass(frozen=True)
class Pair:
    """One image and its ground-truth mask on disk."""

    name: str
    image: Path
    mask: Path

    def read(self) -> tuple[Frame, Mask]:
        """The frame, uint8 [H,W,3] RGB, and its mask, uint8 [H,W] of 0 and 255.

        Raises:
            BadInputError: One of them cannot be read, or their sizes differ.
        """
        frame, mask = read_rgb(self.image), read_mask(self.mask)
        if frame.shape[:2] != mask.shape:
            raise BadInputError(
                f"{self.image.name} and its mask have different sizes",
                found=f"image {_size(frame)}, mask {_size(mask)}",
                expected="the same width and height",
                next_command=f"edgeseg data inspect {quoted(self.image.parent.parent)}",
            )
        return frame, mask


def load_pairs(root: Path, split: str | None = None) -> list[Pair]:
    """The pairs of one split, sorted by name.

    Args:
        root: The data set.
        split: ``train``, ``validation`` or ``test``; None, or a data set without splits, takes every pair of `root`.

    Raises:
        BadInputError: No such folder, an image without a mask or the other way round, or nothing at all.
    """
    folder = split_folder(root, split)
    images, masks = folder / "images", folder / "masks"
    for path, what in ((images, "images"), (masks, "masks")):
        if not path.is_dir():
            raise BadInputError(
                f"{folder} has no folder {what}", expected=LAYOUT, next_command=f"edgeseg data inspect {quoted(root)}"
            )
    image_of, mask_of = _by_stem(images), _by_stem(masks)
    _refuse_unpaired(folder, image_of, mask_of)
    if not image_of:
        raise BadInputError(
            f"{folder} holds no images", expected=LAYOUT, next_command=f"edgeseg data inspect {quoted(root)}"
        )
    return [Pair(stem, image_of[stem], mask_of[stem]) for stem in sorted(image_of)]


def load_images(root: Path, split: str | None = None) -> list[Path]:
    """Image files for work without masks (calibration, runs): of a data set, one of its splits, or a plain folder.

    Raises:
        BadInputError: Nothing there.
    """
    folder = split_folder(root, split)
    images = list_images(folder / "images" if (folder / "images").is_dir() else folder)
    if not images:
        raise BadInputError(f"{folder} holds no images", expected=f"a folder of images, or {LAYOUT}")
    return images


def split_folder(root: Path, split: str | None) -> Path:
    """The folder of a split; `root` itself where the data set has no splits."""
    if not root.is_dir():
        raise BadInputError(
            f"there is no data set at {root}",
            expected=LAYOUT,
            next_command="edgeseg data synth --out DIR makes a synthetic one",
        )
    if split is None or not any((root / name).is_dir() for name in SPLITS):
        return root
    if not (root / split).is_dir():
        present = [name for name in SPLITS if (root / name).is_dir()]
        raise BadInputError(f"{root} has no split {split}", found=", ".join(present), expected=split)
    return root / split


def hash_files(paths: Iterable[Path]) -> str:
    """One SHA-256 for the content of a set of files, independent of names and order."""
    return sha256_of_hashes(sha256_file(path) for path in paths)


def hash_pairs(pairs: Sequence[Pair]) -> str:
    """One SHA-256 for images and masks, kept together pair by pair."""
    return sha256_of_hashes(sha256_file(pair.image) + sha256_file(pair.mask) for pair in pairs)


def _by_stem(folder: Path) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for path in list_images(folder):
        if path.stem in paths:
            raise BadInputError(f"two images share the name {path.stem}", found=f"{paths[path.stem]} and {path}")
        paths[path.stem] = path
    return paths


def _refuse_unpaired(folder: Path, image_of: dict[str, Path], mask_of: dict[str, Path]) -> None:
    lonely_images, lonely_masks = sorted(image_of.keys() - mask_of.keys()), sorted(mask_of.keys() - image_of.keys())
    if lonely_images or lonely_masks:
        raise BadInputError(
            f"images and masks of {folder} do not pair",
            found=f"{len(lonely_images)} images without a mask{_names(lonely_images)}, "
            f"{len(lonely_masks)} masks without an image{_names(lonely_masks)}",
            expected="one mask of the same name for each image",
        )


def _names(stems: list[str]) -> str:
    return "" if not stems else f" ({', '.join(stems[:5])}{', ...' if len(stems) > 5 else ''})"


def _size(array: Frame | Mask) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
