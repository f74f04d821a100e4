"""The pairs or the images of a data set, for work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from edgeseg.dataset.annotations import annotations_in
from edgeseg.dataset.examination import SeenPair, examine
from edgeseg.dataset.layout import UNSPLIT, Layout, SplitFiles
from edgeseg.dataset.layouts import LAYOUT, SPLITS, find_layout, split_folders
from edgeseg.dataset.pair import Pair
from edgeseg.errors import BadInputError
from edgeseg.files import sha256_file, sha256_of_hashes
from edgeseg.images import list_folder
from edgeseg.progress import Track, silent
from edgeseg.shell import quoted

_SHOWN = 5


def load_pairs(root: Path, split: str | None = None, track: Track = silent, classes: int | None = 1) -> list[Pair]:
    """The pairs of one split in natural order; every one is read and checked first.

    Args:
        root: The data set, in a layout of `docs/inputs.md`.
        split: ``train``, ``validation`` or ``test``; None, or a data set without splits, takes every pair of `root`.
        track: Shows progress.
        classes: Number of classes with the background, or 1; None where reading the pairs will tell.

    Raises:
        BadInputError: Anything that `edgeseg data inspect` calls a problem in this split, or labels that are no
            classes.
    """
    layout = find_layout(root)
    return [item.pair for item in _checked(layout, _chosen_parts(layout, split), track, classes)]


def load_splits(root: Path, splits: Sequence[str], track: Track = silent, classes: int = 1) -> dict[str, list[Pair]]:
    """The pairs of several splits, checked together, so that a picture that lies in two of them is refused too.

    Raises:
        BadInputError: A split is missing, or anything that `edgeseg data inspect` calls a problem in these splits.
    """
    layout = find_layout(root)
    parts = {name: part for split in splits for name, part in _chosen_parts(layout, split).items()}
    seen = _checked(layout, parts, track, classes)
    return {name: [item.pair for item in seen if item.split == name] for name in parts}


def _checked(layout: Layout, parts: dict[str, SplitFiles], track: Track, classes: int | None) -> tuple[SeenPair, ...]:
    root = layout.root
    for part in parts.values():
        _refuse_unpaired(root, part)
    pairs = [(name, pair) for name, part in parts.items() for pair in part.pairing.pairs]
    others = [pair.mask for name, part in layout.parts.items() if name not in parts for pair in part.pairing.pairs]
    found = examine(pairs, track, others, classes)
    if found.problems:
        first, *others_found = found.problems
        further = len(others_found) - _SHOWN
        shown = [*others_found[:_SHOWN], *([f"and {further} more"] if further > 0 else [])]
        raise BadInputError(
            f"{root} cannot be used: {first}",
            found="further problems: " + "; ".join(shown) if shown else None,
            expected="pairs that can be read and mean one thing",
            next_command=_mend(root, first),
        )
    return found.seen


def load_images(root: Path, split: str | None = None) -> list[Path]:
    """Image files for work without masks (calibration, runs): of a data set, one of its splits, or a plain folder.

    Raises:
        BadInputError: Nothing there.
    """
    try:
        layout = find_layout(root)
    except BadInputError:
        if not root.is_dir():
            raise
        layout = None
    if layout is None:
        folder = split_folder(root, split)
        images = list(list_folder(folder).images)
    else:
        parts = _chosen_parts(layout, split)
        images = [entry.path for part in parts.values() for entry in part.images]
        folder = next(iter(parts.values())).folder
    if not images:
        raise BadInputError(f"{folder} holds no images", expected=f"a folder of images, or {LAYOUT}")
    return images


def split_folder(root: Path, split: str | None) -> Path:
    """The folder of a split; `root` itself where the data set has no splits."""
    if not root.is_dir():
        find_layout(root)
    present = split_folders(root) if root.is_dir() else {}
    if split is None or not present:
        return root
    if split not in present:
        raise _no_split(root, split, [name for name in SPLITS if name in present])
    return present[split][0]


def hash_files(paths: Iterable[Path]) -> str:
    """One SHA-256 for the content of a set of files, independent of names and order."""
    return sha256_of_hashes(sha256_file(path) for path in paths)


def hash_pairs(pairs: Sequence[Pair]) -> str:
    """One SHA-256 for images and masks, kept together pair by pair."""
    return sha256_of_hashes(sha256_file(pair.image) + sha256_file(pair.mask) for pair in pairs)


def _mend(root: Path, problem: str) -> str:
    """The command that mends a problem, or shows all of them."""
    if problem.startswith("several classes"):
        return (
            f"edgeseg data convert {quoted(root)} --out DIR --foreground LABEL[,LABEL] makes labels the polyp; "
            "edgeseg train --set 'model.classes=[...]' keeps several classes"
        )
    if "several colours" in problem:
        return f"edgeseg data convert {quoted(root)} --out DIR --classes FILE, a CSV of name,r,g,b"
    if "and there are the classes 0 to" in problem:
        return f"edgeseg data convert {quoted(root)} --out DIR --labels LABEL,LABEL,..."
    if "different EXIF orientations" in problem:
        return f"edgeseg data convert {quoted(root)} --out DIR --exif stored (or upright)"
    return f"edgeseg data inspect {quoted(root)}"


def _chosen_parts(layout: Layout, split: str | None) -> dict[str, SplitFiles]:
    if split is None or UNSPLIT in layout.parts:
        return layout.parts
    if split not in layout.parts:
        raise _no_split(layout.root, split, [name for name in SPLITS if name in layout.parts])
    return {split: layout.parts[split]}


def _no_split(root: Path, split: str, present: Sequence[str]) -> BadInputError:
    return BadInputError(f"{root} has no split {split}", found=", ".join(present), expected=split)


def _refuse_unpaired(root: Path, part: SplitFiles) -> None:
    inspect = f"edgeseg data inspect {quoted(root)}"
    if not part.masks and (instead := annotations_in(root)) is not None:
        raise BadInputError(
            f"{part.folder} has no masks", found=instead.words, expected=LAYOUT, next_command=instead.next_command(root)
        )
    for there, what in ((part.has_images_folder, "images"), (part.has_masks_folder, "masks")):
        if not there:
            raise BadInputError(f"{part.folder} has no folder {what}", expected=LAYOUT, next_command=inspect)
    pairing = part.pairing
    if pairing.shared:
        first, second = pairing.shared[0]
        raise BadInputError(f"two images share the name {second.stem}", found=f"{first} and {second}")
    images, masks = pairing.lonely_images, pairing.lonely_masks
    if images or masks:
        raise BadInputError(
            f"images and masks of {part.folder} do not pair",
            found=f"{len(images)} images without a mask{_names(images)}, "
            f"{len(masks)} masks without an image{_names(masks)}"
            + (f"; passed over {passed}" if (passed := part.passed_over.passed_over()) else ""),
            expected="one mask of the same name for each image, or of the name and _mask or the like",
            next_command=inspect,
        )
    if not pairing.pairs:
        raise BadInputError(f"{part.folder} holds no images", expected=LAYOUT, next_command=inspect)


def _names(paths: Sequence[Path]) -> str:
    stems = sorted(path.stem for path in paths)
    return "" if not stems else f" ({', '.join(stems[:5])}{', ...' if len(stems) > 5 else ''})"
