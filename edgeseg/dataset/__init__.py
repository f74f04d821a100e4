"""Data sets of images with masks: which layouts are read in place, how files pair, what a pair's pixels mean.

Everything that is wrong with a set is found before work on it begins. `docs/inputs.md` has the table of layouts.
"""

from edgeseg.dataset.examination import Examination, SeenPair, examine
from edgeseg.dataset.layout import Layout, SplitFiles
from edgeseg.dataset.layouts import LAYOUT, SPLITS, find_layout, has_splits
from edgeseg.dataset.loading import hash_files, hash_pairs, load_images, load_pairs, load_splits, split_folder
from edgeseg.dataset.pair import Labelled, Pair
from edgeseg.dataset.pairing import Entry, Pairing, pair_up

__all__ = [
    "LAYOUT",
    "SPLITS",
    "Entry",
    "Examination",
    "Labelled",
    "Layout",
    "Pair",
    "Pairing",
    "SplitFiles",
    "SeenPair",
    "examine",
    "find_layout",
    "has_splits",
    "hash_files",
    "hash_pairs",
    "load_images",
    "load_pairs",
    "load_splits",
    "pair_up",
    "split_folder",
]
