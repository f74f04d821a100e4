"""Finds in one pass what a data set holds and everything that is wrong with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from edgeseg.dataset import LAYOUT, SPLITS, Pair, hash_pairs, split_folder
from edgeseg.errors import BadInputError
from edgeseg.frames import Mask
from edgeseg.images import MASK_THRESHOLD, hash_pixels, list_images, read_grey, read_rgb
from edgeseg.progress import Track, silent
from edgeseg.values import Part, Value

UNSPLIT = "all"
"""The name that a report gives to a data set without splits."""
_LEVEL_WIDTH = 9
"""Grey values that count as one level: JPEG smears a level by a few."""
_LEVEL_SHARE = 0.01
"""Share of a mask that makes a level a clear one; the smeared borders of Kvasir-SEG's JPEG masks reach 0.0016."""


class Spread(Part):
    """Smallest, middle and largest of some lengths in pixels."""

    minimum: int
    median: float
    maximum: int


class SplitContent(Part):
    """One split."""

    name: str
    images: int
    masks: int
    pairs: int
    """Images and masks of one name that can both be read."""
    width: Spread | None
    height: Spread | None
    foreground_share: float | None
    """Mean over the pairs of the share of pixels that the mask marks; None without pairs."""
    empty_masks: int
    data_sha256: str
    """Hash of the split's pairs, as `edgeseg.dataset.hash_pairs` gives it."""


class DatasetReport(Value):
    """Everything found in a data set."""

    splits: tuple[SplitContent, ...]
    data_sha256: str
    """Hash of all pairs together."""
    problems: tuple[str, ...]
    """One sentence each; empty for a sound data set."""


@dataclass(frozen=True)
class _Seen:
    """A pair that could be read."""

    split: str
    pair: Pair
    pixels_sha256: str
    height: int
    width: int
    foreground: float


def inspect_dataset(root: Path, track: Track = silent) -> DatasetReport:
    """Read every image and mask of a data set and collect all problems.

    Args:
        root: `DIR/{train,validation,test}/{images,masks}` or `DIR/{images,masks}`.
        track: Shows progress.

    Returns:
        The report: pairs without partner, sizes that differ, files that cannot be read or are cut off, masks that are
        none, and pictures that are there twice, within a split or across splits (a leak).

    Raises:
        BadInputError: There is no data set at `root`.
    """
    folders = _split_folders(root)
    problems: list[str] = []
    listed = {name: _list_split(name, folder, problems) for name, folder in folders.items()}
    waiting = [(name, pair) for name, (_, _, pairs) in listed.items() for pair in pairs]
    seen = [found for name, pair in track(waiting, "pairs", len(waiting)) if (found := _read(name, pair, problems))]
    problems += _repeated(seen)
    splits = tuple(
        _content(name, len(images), len(masks), [item for item in seen if item.split == name])
        for name, (images, masks, _) in listed.items()
    )
    return DatasetReport(splits=splits, data_sha256=hash_pairs([item.pair for item in seen]), problems=tuple(problems))


def mask_problem(grey: Mask) -> str | None:
    """Say what makes a grey picture unfit as a two-valued mask; None for a fit one.

    Args:
        grey: uint8 [H,W], before the threshold.
    """
    levels = _clear_levels(grey)
    if len(levels) > 2:
        return f"is no mask: {len(levels)} clear grey levels ({', '.join(map(str, levels[:6]))}), not two"
    if len(levels) == 2 and (levels[0] > MASK_THRESHOLD) == (levels[1] > MASK_THRESHOLD):
        return f"has its two levels ({levels[0]} and {levels[1]}) on one side of {MASK_THRESHOLD}: they read as one"
    largest = int(grey.max())
    if 0 < largest <= MASK_THRESHOLD and len(levels) < 2 and np.unique(grey).size == 2:
        return f"holds only 0 and {largest}: it reads as empty, foreground must be 255"
    return None


def _split_folders(root: Path) -> dict[str, Path]:
    split_folder(root, None)
    present = {name: root / name for name in SPLITS if (root / name).is_dir()}
    if not present and not any((root / part).is_dir() for part in ("images", "masks")):
        raise BadInputError(
            f"{root} is no data set",
            found="no folder " + ", ".join((*SPLITS, "images")),
            expected=LAYOUT,
            next_command="edgeseg data synth --out DIR makes one to compare with",
        )
    return present or {UNSPLIT: root}


def _list_split(name: str, folder: Path, problems: list[str]) -> tuple[list[Path], list[Path], list[Pair]]:
    """Images, masks and those that pair by stem."""
    files: list[list[Path]] = []
    for part in ("images", "masks"):
        there = (folder / part).is_dir()
        files.append(list_images(folder / part) if there else [])
        if not there:
            problems.append(f"{name}: there is no folder {part}")
        elif not files[-1]:
            problems.append(f"{name}: the folder {part} holds no images")
    image_of, mask_of = (_by_stem(name, paths, problems) for paths in files)
    problems += [
        f"{name}: image {image_of[stem].name} has no mask" for stem in sorted(image_of.keys() - mask_of.keys())
    ]
    problems += [f"{name}: mask {mask_of[stem].name} has no image" for stem in sorted(mask_of.keys() - image_of.keys())]
    pairs = [Pair(stem, image_of[stem], mask_of[stem]) for stem in sorted(image_of.keys() & mask_of.keys())]
    return files[0], files[1], pairs


def _by_stem(name: str, paths: Iterable[Path], problems: list[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        first = found.setdefault(path.stem, path)
        if first is not path:
            problems.append(f"{name}: {first.name} and {path.name} in {path.parent.name} share one name")
    return found


def _read(split: str, pair: Pair, problems: list[str]) -> _Seen | None:
    """Decode one pair; what is wrong with it goes to `problems`."""
    frame = grey = None
    try:
        frame = read_rgb(pair.image)
    except BadInputError as error:
        problems.append(f"{split}: image {pair.image.name} cannot be used: {_short(error, pair.image)}")
    try:
        grey = read_grey(pair.mask)
    except BadInputError as error:
        problems.append(f"{split}: mask {pair.mask.name} cannot be used: {_short(error, pair.mask)}")
    if grey is not None and (wrong := mask_problem(grey)):
        problems.append(f"{split}: mask {pair.mask.name} {wrong}")
    if frame is None or grey is None:
        return None
    height, width = frame.shape[:2]
    if grey.shape != (height, width):
        sizes = f"{width}x{height} and {grey.shape[1]}x{grey.shape[0]}"
        problems.append(f"{split}: image {pair.image.name} and its mask differ in size: {sizes}")
    foreground = float(np.count_nonzero(grey > MASK_THRESHOLD)) / grey.size
    return _Seen(split, pair, hash_pixels(frame), height, width, foreground)


def _repeated(seen: Sequence[_Seen]) -> list[str]:
    """Pictures that are there more than once."""
    same: dict[str, list[_Seen]] = defaultdict(list)
    for item in seen:
        same[item.pixels_sha256].append(item)
    problems = []
    for group in (group for group in same.values() if len(group) > 1):
        names = " and ".join(f"{item.split}/{item.pair.image.name}" for item in group)
        if len({item.split for item in group}) > 1:
            problems.append(f"leak: {names} are one picture in several splits")
        else:
            problems.append(f"{group[0].split}: {names} are one picture")
    return problems


def _content(name: str, images: int, masks: int, seen: Sequence[_Seen]) -> SplitContent:
    shares = [item.foreground for item in seen]
    return SplitContent(
        name=name,
        images=images,
        masks=masks,
        pairs=len(seen),
        width=_spread([item.width for item in seen]),
        height=_spread([item.height for item in seen]),
        foreground_share=sum(shares) / len(shares) if shares else None,
        empty_masks=shares.count(0.0),
        data_sha256=hash_pairs([item.pair for item in seen]),
    )


def _spread(lengths: Sequence[int]) -> Spread | None:
    return Spread(minimum=min(lengths), median=median(lengths), maximum=max(lengths)) if lengths else None


def _clear_levels(grey: Mask) -> list[int]:
    """Grey values about which a clear share of the pixels lies, the strongest of each neighbourhood, ascending."""
    counts = np.bincount(grey.ravel(), minlength=256)
    least = max(_LEVEL_SHARE * grey.size, 1)
    levels: list[int] = []
    while True:
        window = np.convolve(counts, np.ones(_LEVEL_WIDTH, np.int64), "same")
        if window.max() < least:
            return sorted(levels)
        near = int(window.argmax())
        low, high = max(near - _LEVEL_WIDTH // 2, 0), near + _LEVEL_WIDTH // 2 + 1
        levels.append(low + int(counts[low:high].argmax()))
        counts[low:high] = 0


def _short(error: BadInputError, path: Path) -> str:
    """An error's words with the file's name instead of its path."""
    words = error.what.replace(f"the image {path}", "it").replace(str(path), "it")
    return words if error.found is None else f"{words} ({error.found})"
