"""The places where a data set keeps its images, masks and splits: the layouts that are read in place."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from edgeseg.dataset.annotations import annotations_in
from edgeseg.dataset.layout import SPLIT_NAMES, UNSPLIT, Layout, SplitFiles
from edgeseg.dataset.pair_table import layout_of_table, no_table, pair_columns
from edgeseg.dataset.pairing import Entry, base_name, is_mask_name
from edgeseg.errors import BadInputError
from edgeseg.images import FolderListing, is_hidden, list_folder, natural_name_key
from edgeseg.shell import quoted

SPLITS = ("train", "validation", "test")
LAYOUT = "DIR/{train,validation,test}/{images,masks}, or DIR/{images,masks}"
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


def find_layout(root: Path) -> Layout:
    """Find the images, masks and splits of a data set.

    Args:
        root: A folder, or a CSV file with a column of images and one of masks.

    Raises:
        BadInputError: Nothing is there, nothing that looks like a data set, or several folders could be meant.
    """
    if root.is_file() and root.suffix.lower() == ".csv":
        return layout_of_table(root)
    if not root.is_dir():
        raise BadInputError(
            f"there is no data set at {root}",
            found="a file" if root.is_file() else "nothing",
            expected=f"{LAYOUT}, or a CSV of pairs; unpack archives first",
            next_command="edgeseg data synth --out DIR makes a synthetic one",
        )
    found = _of_splits(root) or _of_parts(root) or _of_table(root)
    if found is None and len(wrapped := _folders(root)) == 1 and not list_folder(root).images:
        return find_layout(wrapped[0])
    found = found or _of_groups(root) or _of_names(root)
    if found is None:
        raise _no_data_set(root)
    return found


def holds_masks(root: Path) -> bool:
    """Say whether a place is a data set with masks."""
    try:
        return any(part.masks for part in find_layout(root).parts.values())
    except BadInputError:
        return False


def _no_data_set(root: Path) -> BadInputError:
    instead = annotations_in(root)
    tables = [path for path in sorted(root.glob("*.csv")) if not is_hidden(path.name)]
    if instead is None and len(tables) == 1:
        return no_table(tables[0])
    return BadInputError(
        f"{root} is no data set",
        found=instead.words if instead else "no folder " + ", ".join((*SPLITS, *_STANDARD)),
        expected=f"{LAYOUT}; `docs/inputs.md` has more; `edgeseg data convert` takes COCO, LabelMe and YOLO",
        next_command=instead.next_command(root) if instead else f"edgeseg data inspect {quoted(root)}",
    )


def split_folders(root: Path) -> dict[str, list[Path]]:
    """The folders of each split directly inside a folder, by their names: val and valid are validation."""
    found: dict[str, list[Path]] = {}
    for split, name in SPLIT_NAMES.items():
        folders = [folder for folder in _folders(root) if name.match(folder.name)]
        exact = [folder for folder in folders if folder.name == split]
        if folders:
            found[split] = exact or folders
    return found


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
    tables = [path for path in sorted(root.glob("*.csv")) if not is_hidden(path.name) and pair_columns(path)]
    return layout_of_table(tables[0]) if len(tables) == 1 else None


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
