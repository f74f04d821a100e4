"""A data set's files by split, and the words that name a split."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from edgeseg.dataset.pairing import Entry, Pairing, pair_up
from edgeseg.images import FolderListing

UNSPLIT = "all"
"""The name of the one split of a data set without splits."""

_SET = r"(?:[ _-]?(?:data|set|dataset|split|ing|ing[ _-]?set|ing[ _-]?data))?"
SPLIT_NAMES = {
    "train": re.compile(rf"^(?:train|tr){_SET}$", re.IGNORECASE),
    "validation": re.compile(rf"^(?:validation|valid|val|dev){_SET}$", re.IGNORECASE),
    "test": re.compile(rf"^(?:test|ts)(?:easy|hard)?{_SET}$", re.IGNORECASE),
}


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


def split_named(name: str) -> str | None:
    """The split that a word names: val, valid and validation are validation; None for other words."""
    return next((split for split, pattern in SPLIT_NAMES.items() if pattern.match(name)), None)
