"""Finds which mask belongs to which image, by their names."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.dataset.pair import Pair
from edgeseg.images import natural_name_key

_WORDS = (
    "masks?|segmentations?|segs?|gts?|labels?|ground[_ -]?truths?|lesions?|annotations?|bin|binary|binmask|image|img"
)
_SUFFIX = re.compile(rf"(?<=.)[_\-. ](?:{_WORDS})$", re.IGNORECASE)
_PREFIX = re.compile(rf"^(?:{_WORDS})[_\-. ](?=.)", re.IGNORECASE)
_MASK_SUFFIX = re.compile(rf"(?<=.)[_\-. ](?:{_WORDS.removesuffix('|image|img')})$", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """A file and its place in its part of a data set."""

    path: Path
    group: tuple[str, ...] = ()
    """The folders between the part's own folder and the file."""

    @property
    def key(self) -> tuple[str, ...]:
        """Folders and stem: what a mask shares with its image, however its file system writes accents."""
        return tuple(unicodedata.normalize("NFC", part) for part in (*self.group, self.path.stem))


@dataclass(frozen=True)
class Pairing:
    """How images and masks pair."""

    pairs: tuple[Pair, ...]
    """The pairs in natural order."""
    lonely_images: tuple[Path, ...]
    lonely_masks: tuple[Path, ...]
    shared: tuple[tuple[Path, Path], ...]
    """Two images, or two masks, of one name."""


def is_mask_name(stem: str) -> bool:
    """Say whether a name tells of itself that it is a mask's: p0_mask, ISIC_0000000_segmentation."""
    return _MASK_SUFFIX.search(stem) is not None


def base_name(stem: str) -> str:
    """A stem without the words that tell a mask from its image, in lower case."""
    return _PREFIX.sub("", _SUFFIX.sub("", unicodedata.normalize("NFC", stem))).casefold()


def pair_up(images: Sequence[Entry], masks: Sequence[Entry]) -> Pairing:
    """Join masks to images: by the same name, else without words such as _mask and without case.

    A remainder that all masks have in common counts as such a word, and a folder with one image and one mask pairs
    them whatever their names.
    """
    shared: list[tuple[Path, Path]] = []
    image_left = _unique(images, shared)
    mask_left = _unique(masks, shared)
    joined: list[tuple[Entry, Entry]] = []
    for key in (_exact, _base, _base_alone, _numbered):
        joined += _join(image_left, mask_left, key)
    joined += _join_by_remainder(image_left, mask_left)
    joined += _join(image_left, mask_left, lambda entry: entry.group or None)
    joined.sort(key=lambda both: [natural_name_key(part) for part in both[0].key])
    names = _names([image for image, _ in joined])
    pairs = tuple(Pair(name, image.path, mask.path) for name, (image, mask) in zip(names, joined, strict=True))
    return Pairing(pairs, _paths(image_left), _paths(mask_left), tuple(shared))


Key = Callable[[Entry], object]


def _exact(entry: Entry) -> object:
    return entry.key


def _base(entry: Entry) -> object:
    return (*(part.casefold() for part in entry.group), base_name(entry.path.stem))


def _base_alone(entry: Entry) -> object:
    return base_name(entry.path.stem)


def _numbered(entry: Entry) -> object:
    """The base with numbers as numbers, 0001 and 1 alike, and one sign between words."""
    plain = re.sub(r"[ _\-.]+", "_", base_name(entry.path.stem))
    return (*entry.group, re.sub(r"\d+", lambda digits: str(int(digits[0])), plain))


def _unique(entries: Iterable[Entry], shared: list[tuple[Path, Path]]) -> dict[tuple[str, ...], Entry]:
    kept: dict[tuple[str, ...], Entry] = {}
    for entry in entries:
        first = kept.setdefault(entry.key, entry)
        if first is not entry:
            shared.append((first.path, entry.path))
    return kept


def _join(
    images: dict[tuple[str, ...], Entry], masks: dict[tuple[str, ...], Entry], key: Key
) -> list[tuple[Entry, Entry]]:
    """Take out the images and masks that one key joins without doubt."""
    image_of, mask_of = _grouped(images.values(), key), _grouped(masks.values(), key)
    found = []
    for value, members in image_of.items():
        others = mask_of.get(value, [])
        if value is not None and len(members) == len(others) == 1:
            found.append((members[0], others[0]))
            del images[members[0].key], masks[others[0].key]
    return found


def _grouped(entries: Iterable[Entry], key: Key) -> dict[object, list[Entry]]:
    groups: dict[object, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[key(entry)].append(entry)
    return groups


def _join_by_remainder(
    images: dict[tuple[str, ...], Entry], masks: dict[tuple[str, ...], Entry]
) -> list[tuple[Entry, Entry]]:
    """Join where every mask's stem is an image's stem and one common remainder, as in p0_polyp-v2 for p0."""
    if not images or len(images) != len(masks):
        return []
    first = next(iter(masks.values()))
    for image in list(images.values()):
        remainder = first.path.stem.removeprefix(image.path.stem)
        if remainder == first.path.stem or not remainder or remainder[0].isalnum():
            continue
        wanted = {(*entry.group, entry.path.stem + remainder): entry for entry in images.values()}
        if wanted.keys() == masks.keys():
            found = [(entry, masks[key]) for key, entry in wanted.items()]
            images.clear()
            masks.clear()
            return found
    return []


def _names(images: Sequence[Entry]) -> list[str]:
    """A name for each image: its stem where no other has it, else with its folders before it."""
    counts = Counter(image.path.stem for image in images)
    return [image.path.stem if counts[image.path.stem] == 1 else "_".join(image.key) for image in images]


def _paths(left: dict[tuple[str, ...], Entry]) -> tuple[Path, ...]:
    return tuple(entry.path for entry in left.values())
