"""Finds in one pass what a data set holds and everything that is wrong with it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from edgeseg.dataset import (
    Examination,
    Layout,
    Pair,
    SeenPair,
    SplitFiles,
    annotations_in,
    examine,
    find_layout,
    hash_pairs,
    holds_masks,
)
from edgeseg.errors import BadInputError
from edgeseg.images import FolderListing, colour_counts, colours_in_words, dicom_facts, is_dicom, list_folder, read_rgb
from edgeseg.images.class_colours import Colour
from edgeseg.progress import Track, silent
from edgeseg.values import Part, Value


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
    """One sentence each; empty for a sound data set. Every command that reads the set refuses them."""
    layout: str = ""
    """The places where images and masks were found."""
    masks: str = ""
    """The meaning of the masks' values."""
    classes: int = 1
    """Classes without the background."""
    ignored_share: float = 0.0
    """Mean over the pairs of the share of pixels that are kept out of losses and measures."""
    notes: tuple[str, ...] = ()
    """Remarks about what was passed over or decided; nothing is wrong with it."""


class DicomObject(Part):
    """One DICOM file, as its header describes it."""

    file: str
    frames: int
    width: int
    height: int
    photometric: str
    """The photometric interpretation: RGB, YBR_FULL_422, MONOCHROME2 and so on."""
    bits: int
    """Bits a sample."""
    syntax: str
    """The name of the transfer syntax: how the pixels are compressed."""
    is_video: bool
    """True if the pixels are one stream of video."""
    rate: float | None
    """Frames a second; None where it does not say."""


class DicomReport(Value):
    """The DICOM objects of a place without masks."""

    objects: tuple[DicomObject, ...]
    problems: tuple[str, ...]
    """One sentence for each file that cannot be read."""
    passed_over: str | None
    """The files that are no images; None where there are none."""


def inspect_dicom(root: Path) -> DicomReport | None:
    """Say what DICOM files hold, by their headers alone.

    Args:
        root: A DICOM file, or a folder of images and folders of them.

    Returns:
        The report; None where `root` is neither, a folder without DICOM, or a data set with masks.

    Raises:
        MissingComponentError: pydicom is not installed.
    """
    if not root.exists() or (root.is_dir() and holds_masks(root)):
        return None
    listing = FolderListing((root,)) if root.is_file() else list_folder(root, recursive=True)
    objects, problems = [], []
    for path in filter(is_dicom, listing.images):
        try:
            facts = dicom_facts(path)
        except BadInputError as error:
            problems.append(f"{path.name}: {error.found}")
            continue
        rate = None if facts.rate is None else float(facts.rate)
        stated = {name: value for name, value in dataclasses.asdict(facts).items() if name in DicomObject.model_fields}
        objects.append(DicomObject(**{**stated, "file": _name_below(path, root), "rate": rate}))
    if not objects and not problems:
        return None
    return DicomReport(objects=tuple(objects), problems=tuple(problems), passed_over=listing.passed_over())


def inspect_dataset(root: Path, track: Track = silent) -> DatasetReport:
    """Read every image and mask of a data set and collect all problems.

    Args:
        root: A data set in one of the layouts of `docs/inputs.md`.
        track: Shows progress.

    Returns:
        The report. Problems are files without partner, sizes that differ, files that cannot be read or are damaged,
        masks without one meaning, and pictures that lie in two splits (a leak). Notes are copies within a split, what
        was passed over, and the like.

    Raises:
        BadInputError: There is no data set at `root`.
    """
    return report_and_pairs(root, track)[0]


def report_and_pairs(root: Path, track: Track = silent) -> tuple[DatasetReport, tuple[Pair, ...]]:
    """Give the report of `inspect_dataset`, and the pairs that can be read, with the set's coding.

    Raises:
        BadInputError: There is no data set at `root`.
    """
    layout = find_layout(root)
    problems = [words for name, part in layout.parts.items() for words in _pairing_problems(name, part)]
    pairs = [(name, pair) for name, part in layout.parts.items() for pair in part.pairing.pairs]
    found = examine(pairs, track, classes=None)
    problems += found.problems
    splits = tuple(
        _content(name, part, [item for item in found.seen if item.split == name]) for name, part in layout.parts.items()
    )
    ignored = [item.ignored for item in found.seen]
    report = DatasetReport(
        splits=splits,
        data_sha256=hash_pairs([item.pair for item in found.seen]),
        problems=tuple(problems),
        layout=layout.words,
        masks=_mask_words(found),
        classes=found.coding.class_count,
        ignored_share=sum(ignored) / len(ignored) if ignored else 0.0,
        notes=(
            *_annotation_notes(root, layout),
            *_notes(found, layout.parts, layout.left),
            *_colour_notes(pairs, found),
        ),
    )
    return report, tuple(item.pair for item in found.seen)


def _name_below(path: Path, root: Path) -> str:
    return path.name if path == root else str(path.relative_to(root))


def _pairing_problems(name: str, part: SplitFiles) -> list[str]:
    """Say what keeps files of a split from pairing."""
    problems = []
    for what, there, files in (
        ("images", part.has_images_folder, part.images),
        ("masks", part.has_masks_folder, part.masks),
    ):
        if not there:
            problems.append(f"{name}: there is no folder {what}")
        elif not files:
            problems.append(f"{name}: the folder {what} holds no images")
    pairing = part.pairing
    for first, second in pairing.shared:
        problems.append(f"{name}: {first.name} and {second.name} in {second.parent.name} share one name")
    if part.has_masks_folder or part.has_images_folder:
        problems += [f"{name}: image {path.name} has no mask" for path in pairing.lonely_images]
        problems += [f"{name}: mask {path.name} has no image" for path in pairing.lonely_masks]
    return problems


def _mask_words(found: Examination) -> str:
    coding = found.coding
    rules = {
        "threshold": "grey: above 127 is the polyp",
        "nonzero": "two values: everything but 0 is the polyp",
        "labels": f"labels {', '.join(map(str, coding.labels))}: {coding.class_count} classes and the background",
    }
    return rules[coding.rule] + (f", {coding.ignore} is ignored" if coding.ignore is not None else "")


def _notes(found: Examination, parts: dict[str, SplitFiles], left: Sequence[str]) -> list[str]:
    notes = [
        f"{name}: passed over {words}" for name, part in parts.items() if (words := part.passed_over.passed_over())
    ]
    notes += found.copies
    dicom = Counter(str(dicom_facts(item.pair.image)) for item in found.seen if is_dicom(item.pair.image))
    notes += [f"{count} images are DICOM: {words}" for words, count in dicom.items()]
    if left:
        notes.append(f"folders not read: {', '.join(left[:8])}{', ...' if len(left) > 8 else ''}")
    if found.seen and not any(item.foreground for item in found.seen):
        notes.append("every mask is empty: there is nothing to train on")
    if found.coding.class_count > 1:
        notes.append(
            "several classes: name them in the recipe (`model.classes`), "
            "or let `edgeseg data convert --foreground LABEL` make chosen labels the polyp"
        )
    return notes


def _annotation_notes(root: Path, layout: Layout) -> list[str]:
    """Say what is there in place of masks."""
    found = None if all(part.masks for part in layout.parts.values()) else annotations_in(root)
    return [] if found is None else [f"{found.words} in place of masks: {found.next_command(root)}"]


def _colour_notes(pairs: Sequence[tuple[str, Pair]], found: Examination) -> list[str]:
    """Name the colours of masks that have several, with their share of all such masks."""
    if not any("several colours" in problem for problem in found.problems):
        return []
    seen = {item.pair.mask for item in found.seen}
    counts: Counter[Colour] = Counter()
    for path in (pair.mask for _, pair in pairs if pair.mask not in seen):
        with contextlib.suppress(BadInputError):
            counts += colour_counts(read_rgb(path))
    words = colours_in_words(counts, counts.total())
    return [f"colours of these masks: {words}; `edgeseg data convert --classes FILE` reads each as a class"]


def _content(name: str, part: SplitFiles, seen: Sequence[SeenPair]) -> SplitContent:
    shares = [item.foreground for item in seen]
    return SplitContent(
        name=name,
        images=len(part.images),
        masks=len(part.masks),
        pairs=len(seen),
        width=_spread([item.width for item in seen]),
        height=_spread([item.height for item in seen]),
        foreground_share=sum(shares) / len(shares) if shares else None,
        empty_masks=shares.count(0.0),
        data_sha256=hash_pairs([item.pair for item in seen]),
    )


def _spread(lengths: Sequence[int]) -> Spread | None:
    return Spread(minimum=min(lengths), median=median(lengths), maximum=max(lengths)) if lengths else None
