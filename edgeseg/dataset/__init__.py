"""Data sets of images with masks: which layouts are read in place, how files pair, what a pair's pixels mean.

Everything that is wrong with a set is found before work on it begins. `docs/inputs.md` has the table of layouts.
"""

from edgeseg.dataset.annotations import Annotations, annotations_in, coco_files, labelme_files, yolo_files
from edgeseg.dataset.examination import Examination, SeenPair, examine
from edgeseg.dataset.layout import Layout, SplitFiles
from edgeseg.dataset.layouts import LAYOUT, SPLITS, find_layout, has_splits, holds_masks
from edgeseg.dataset.loading import hash_files, hash_pairs, load_images, load_pairs, load_splits, split_folder
from edgeseg.dataset.pair import Labelled, Pair
from edgeseg.dataset.pairing import Entry, Pairing, pair_up

__all__ = [
    "LAYOUT",
    "SPLITS",
    "Annotations",
    "Entry",
    "Examination",
    "Labelled",
    "Layout",
    "Pair",
    "Pairing",
    "SplitFiles",
    "SeenPair",
    "annotations_in",
    "coco_files",
    "examine",
    "find_layout",
    "has_splits",
    "hash_files",
    "hash_pairs",
    "holds_masks",
    "labelme_files",
    "load_images",
    "load_pairs",
    "load_splits",
    "pair_up",
    "split_folder",
    "yolo_files",
]
