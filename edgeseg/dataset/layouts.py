"""The places where a data set keeps its images, masks and splits: the layouts that are read in place."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from edgeseg.dataset.pairing import Entry, Pairing, base_name, is_mask_name, pair_up
from edgeseg.errors import BadInputError
from edgeseg.images import FolderListing, is_hidden, list_folder, natural_name_key
from edgeseg.shell import quoted

SPLITS = ("train", "validation", "test")
LAYOUT = "DIR/{train,validation,test}/{images,masks}, or DIR/{images,masks}"
UNSPLIT = "all"
"""The name of the one split of a data set without splits."""

_SET = r"(?:[ _-]?(?:data|set|dataset|split|ing|ing[ _-]?set|ing[ _-]?data))?"
_SPLIT_NAMES = {
    "train": re.compile(rf"^(?:train|tr){_SET}$", re.IGNORECASE),
    "validation": re.compile(rf"^(?:validation|valid|val|dev){_SET}$", re.IGNORECASE),
    "test": re.compile(rf"^(?:test|ts)(?:easy|hard)?{_SET}$", re.IGNORECASE),
}
_NUMBER = r"(?:[ _-]?c?\d+)?"
_IMAGE_FOLDER = re.compile(
    rf"^(?:.*[ _-])?(?:images?|imgs?|frames?|originals?|inputs?|jpegimages|pictures?|photos?|rgb){_NUMBER}$",
    re.IGNORECASE,
)
_MASK_FOLDER = re.compile(
    r"^(?:.*[ _-])?(?:masks?|labels?|gts?|ground[ _-]?truths?|segmentations?|segs?|segmentationclass|annotations?"
    rf"|targets?|lesions?){_NUMBER}$",
    re.IGNORECASE,
)
_STANDARD = ("images", "masks")
_IMAGE_COLUMNS = ("image", "images", "img", "image_path", "image_file", "filename", "file", "picture")
_MASK_COLUMNS = ("mask", "masks", "mask_path", "mask_file", "label", "gt", "groundtruth", "segmentation")


@dataclass(frozen=True)
class SplitFiles:
    """One split: its images and masks."""

    folder: Path
    images: tuple[Entry, ...]
    masks: tuple[Entry, ...]
    has_images_folder: bool = True
    has_masks_folder: bool = True
    passed_over: FolderListing = field(default_factory=lambda: FolderListing(()))
    """The files there that are no images."""

    @cached_property
    def pairing(self) -> Pairing:
        """How images and masks pair."""
        return pair_up(self.images, self.masks)


@dataclass(frozen=True)
class Layout:
    """A data set's files."""

    root: Path
    words: str
    """The places where images and masks were found."""
    parts: dict[str, SplitFiles]
    """Split -> its files; `UNSPLIT` alone where there are no splits."""
    left: tuple[str, ...] = ()
    """Folders that were not read."""

    @property
    def is_divided(self) -> bool:
        """True if there are splits."""
        return UNSPLIT not in self.parts


def find_layout(root: Path) -> Layout:
    """Find the images, masks and splits of a data set.

    Args:
        root: A folder, or a CSV file with a column of images and one of masks.

    Raises:
        BadInputError: Nothing is there, nothing that looks like a data set, or several folders could be meant.
    """
    if root.is_file() and root.suffix.lower() == ".csv":
        return _of_csv(root)
    if not root.is_dir():
        raise BadInputError(
            f"there is no data set at {root}",
            expected=LAYOUT,
            next_command="edgeseg data synth --out DIR makes a synthetic one",
        )
    found = _of_splits(root) or _of_parts(root) or _of_table(root)
    if found is None and len(wrapped := _folders(root)) == 1 and not list_folder(root).images:
        return find_layout(wrapped[0])
    found = found or _of_groups(root) or _of_names(root)
    if found is None:
        raise BadInputError(
            f"{root} is no data set",
            found="no folder " + ", ".join((*SPLITS, *_STANDARD)),
            expected=f"{LAYOUT}; `docs/inputs.md` has more; `edgeseg data convert` takes COCO and masks of instances",
            next_command=f"edgeseg data inspect {quoted(root)}",
        )
    return found


def split_folders(root: Path) -> dict[str, list[Path]]:
    """The folders of each split directly inside a folder, by their names: val and valid are validation."""
    found: dict[str, list[Path]] = {}
    for split, name in _SPLIT_NAMES.items():
        folders = [folder for folder in _folders(root) if name.match(folder.name)]
        exact = [folder for folder in folders if folder.name == split]
        if folders:
            found[split] = exact or folders
    return found


def split_named(name: str) -> str | None:
    """The split that a word names: val, valid and validation are validation; None for other words."""
    return next((split for split, pattern in _SPLIT_NAMES.items() if pattern.match(name)), None)


def has_splits(root: Path) -> bool:
    """Say whether a data set is divided into train, validation or test."""
    try:
        return find_layout(root).is_divided
    except BadInputError:
        return False


def _of_splits(root: Path) -> Layout | None:
    """ROOT/train/{images,masks}, with the names that splits and folders have."""
    parts = {}
    for split, folders in split_folders(root).items():
        found = [part for folder in folders if (part := _part(folder))]
        if found:
            parts[split] = _union(root / split if len(folders) > 1 else folders[0], found, folders)
    if not parts:
        return None
    return Layout(
        root, "splits of images and masks", parts, _left(root, [s for f in split_folders(root).values() for s in f])
    )


def _of_parts(root: Path) -> Layout | None:
    """ROOT/{images,masks}, or ROOT/{images,masks}/train."""
    images, masks = _chosen(root, _IMAGE_FOLDER, "images"), _chosen(root, _MASK_FOLDER, "masks")
    if images is None and masks is None:
        return None
    used = [folder for folder in (images, masks) if folder is not None]
    words = " and ".join(f"{folder.name}/" for folder in used)
    if images is not None and masks is not None:
        image_splits, mask_splits = split_folders(images), split_folders(masks)
        if image_splits and image_splits.keys() == mask_splits.keys():
            parts = {
                split: _two_folders(images, image_splits[split][0], mask_splits[split][0]) for split in image_splits
            }
            return Layout(root, f"splits inside {words}", parts, _left(root, used))
    return Layout(root, words, {UNSPLIT: _two_folders(root, images, masks)}, _left(root, used))


def _of_groups(root: Path) -> Layout | None:
    """ROOT/GROUP/{images,masks}: centres, sequences, cases."""
    groups = [folder for folder in _folders(root) if _has_both(folder)]
    if not groups:
        return None
    divided = [group.name for group in groups if split_folders(group)]
    if divided:
        raise BadInputError(
            f"{root} holds several data sets with splits of their own",
            found=", ".join(divided),
            expected="one data set",
            next_command=f"edgeseg data inspect {quoted(root / divided[0])}",
        )
    found = [part for folder in groups if (part := _part(folder))]
    _refuse_instances(root, found)
    return Layout(
        root, f"{len(groups)} folders of images and masks", {UNSPLIT: _union(root, found, groups)}, _left(root, groups)
    )


def _refuse_instances(root: Path, parts: Sequence[SplitFiles]) -> None:
    """Refuse one mask for each instance, as the nuclei of the Data Science Bowl 2018 have it."""
    split_up = [part for part in parts if len(part.images) == 1 and len(part.masks) > 1 and not part.pairing.pairs]
    if split_up:
        raise BadInputError(
            f"the masks of {root} show one instance each",
            found=f"{len(split_up)} pictures with several masks, such as {split_up[0].folder.name}",
            expected="one mask for each picture",
            next_command=f"edgeseg data convert {quoted(root)} --out DIR merges them",
        )


def _of_table(root: Path) -> Layout | None:
    tables = [path for path in sorted(root.glob("*.csv")) if not is_hidden(path.name) and _columns(path) is not None]
    return _of_csv(tables[0]) if len(tables) == 1 else None


def _of_names(root: Path) -> Layout | None:
    """Images and masks side by side, told apart by the masks' names: a.jpg and a_mask.png."""
    listing = list_folder(root)
    if not listing.images:
        listing = list_folder(root, recursive=True)
    entries = [Entry(path, path.relative_to(root).parts[:-1]) for path in listing.images]
    masks = [entry for entry in entries if is_mask_name(entry.path.stem)]
    bases = {base_name(entry.path.stem) for entry in masks}
    images = [entry for entry in entries if not is_mask_name(entry.path.stem)]
    if not masks or not any(base_name(entry.path.stem) in bases for entry in images):
        return None
    part = SplitFiles(root, tuple(images), tuple(masks), passed_over=listing)
    return Layout(root, "images and masks side by side", {UNSPLIT: part})


def _of_csv(table: Path) -> Layout:
    """A table with a column of images, one of masks and perhaps one of splits; paths are relative to it."""
    columns = _columns(table)
    if columns is None:
        raise BadInputError(
            f"{table} does not say which column holds images and which masks",
            expected=f"a header with one of {', '.join(_IMAGE_COLUMNS[:4])} and one of {', '.join(_MASK_COLUMNS[:4])}",
        )
    image_column, mask_column, split_column = columns
    rows: dict[str, tuple[list[Entry], list[Entry]]] = {}
    with table.open(newline="", encoding="utf-8-sig") as file:
        for number, row in enumerate(csv.DictReader(file)):
            stated = (row.get(split_column or "") or "").strip()
            split = (
                UNSPLIT if split_column is None else next((s for s, n in _SPLIT_NAMES.items() if n.match(stated)), "")
            )
            if not split or not row.get(image_column) or not row.get(mask_column):
                raise BadInputError(f"{table} has a row that names no pair", found=f"row {number + 2}: {row}")
            images, masks = rows.setdefault(split, ([], []))
            images.append(Entry(table.parent / row[image_column].strip(), (f"{number:06d}",)))
            masks.append(Entry(table.parent / row[mask_column].strip(), (f"{number:06d}",)))
    if not rows:
        raise BadInputError(f"{table} has no rows")
    parts = {split: SplitFiles(table.parent, tuple(images), tuple(masks)) for split, (images, masks) in rows.items()}
    return Layout(table, f"pairs listed in {table.name}", parts)


def _columns(table: Path) -> tuple[str, str, str | None] | None:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            header = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return None
    named = {cell.strip().casefold(): cell for cell in header}
    image = next((named[name] for name in _IMAGE_COLUMNS if name in named), None)
    mask = next((named[name] for name in _MASK_COLUMNS if name in named), None)
    return None if image is None or mask is None else (image, mask, named.get("split", named.get("subset")))


def _part(folder: Path) -> SplitFiles | None:
    """The images and masks of one split or group, folders of folders included; None where there are none."""
    images, masks = _chosen(folder, _IMAGE_FOLDER, "images"), _chosen(folder, _MASK_FOLDER, "masks")
    if images is not None or masks is not None:
        return _two_folders(folder, images, masks)
    groups = [inner for inner in _folders(folder) if _has_both(inner)]
    found = [part for inner in groups if (part := _part(inner))]
    if found:
        return _union(folder, found, groups)
    beside = _of_names(folder)
    return None if beside is None else beside.parts[UNSPLIT]


def _two_folders(folder: Path, images: Path | None, masks: Path | None) -> SplitFiles:
    listings = [FolderListing(()) if part is None else list_folder(part, recursive=True) for part in (images, masks)]
    return SplitFiles(
        folder,
        _entries(images, listings[0]),
        _entries(masks, listings[1]),
        images is not None,
        masks is not None,
        _together(listings),
    )


def _entries(folder: Path | None, listing: FolderListing) -> tuple[Entry, ...]:
    return () if folder is None else tuple(Entry(path, path.relative_to(folder).parts[:-1]) for path in listing.images)


def _union(folder: Path, parts: Sequence[SplitFiles], folders: Sequence[Path]) -> SplitFiles:
    if len(parts) == 1 and parts[0].folder == folder:
        return parts[0]
    images: list[Entry] = []
    masks: list[Entry] = []
    for part, group in zip(parts, folders, strict=False):
        images += [Entry(entry.path, (part.folder.name or group.name, *entry.group)) for entry in part.images]
        masks += [Entry(entry.path, (part.folder.name or group.name, *entry.group)) for entry in part.masks]
    return SplitFiles(folder, tuple(images), tuple(masks), passed_over=_together([part.passed_over for part in parts]))


def _together(listings: Sequence[FolderListing]) -> FolderListing:
    foreign: Counter[str] = Counter()
    for listing in listings:
        foreign.update(listing.foreign)
    return FolderListing((), sum(listing.hidden for listing in listings), dict(foreign))


def _chosen(folder: Path, name: re.Pattern[str], standard: str) -> Path | None:
    """The folder of images or of masks: the standard name before all others.

    Raises:
        BadInputError: Several others could be meant.
    """
    if (folder / standard).is_dir():
        return folder / standard
    named = [inner for inner in _folders(folder) if name.match(inner.name) and not _has_both(inner)]
    matching = [inner for inner in named if list_folder(inner, recursive=True).images]
    if len(matching) > 1:
        raise BadInputError(
            f"several folders of {folder} could hold the {standard}",
            found=", ".join(inner.name for inner in matching),
            expected="one of them",
            next_command=f"ln -s {quoted(matching[0].name)} {quoted(folder / standard)} names the right one",
        )
    return matching[0] if matching else None


def _has_both(folder: Path) -> bool:
    names = [inner.name for inner in _folders(folder)]
    here = any(_IMAGE_FOLDER.match(name) for name in names) and any(_MASK_FOLDER.match(name) for name in names)
    return here or any(_has_both(inner) for inner in _folders(folder) if not _IMAGE_FOLDER.match(inner.name))


def _folders(folder: Path) -> list[Path]:
    inner = [path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name)]
    return sorted(inner, key=lambda path: natural_name_key(path.name))


def _left(root: Path, used: Sequence[Path]) -> tuple[str, ...]:
    return tuple(folder.name for folder in _folders(root) if folder not in used)
