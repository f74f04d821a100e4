"""Still images in and out: what a file's bits mean as a picture or as a mask is decided here, once for every reader.

What cannot be read as it was meant is refused by name; nothing is guessed in silence. `docs/inputs.md` has the table.
"""

from edgeseg.images.class_colours import (
    COLOUR_TABLES,
    ClassColours,
    colour_counts,
    colours_in_words,
    read_class_colours,
)
from edgeseg.images.decoding import MAX_PIXELS
from edgeseg.images.dicom_pixels import DicomFacts, dicom_facts, dicom_frames, is_dicom, unreadable_dicom
from edgeseg.images.encoding import encode_jpeg, encode_png, hash_pixels, refuse_too_large_for_jpeg, write_png
from edgeseg.images.exif_orientation import as_stored
from edgeseg.images.listing import (
    IMAGE_SUFFIXES,
    MOVING_SUFFIXES,
    FolderListing,
    is_hidden,
    is_still,
    list_folder,
    list_images,
    natural_key,
    natural_name_key,
)
from edgeseg.images.mask_coding import MaskCoding, MaskEvidence, coding_of
from edgeseg.images.mask_values import MASK_THRESHOLD, MaskValues, mask_problem
from edgeseg.images.reading import picture_count, pictures_in, read_mask, read_mask_values, read_oriented_rgb, read_rgb

__all__ = [
    "COLOUR_TABLES",
    "IMAGE_SUFFIXES",
    "MASK_THRESHOLD",
    "MAX_PIXELS",
    "MOVING_SUFFIXES",
    "ClassColours",
    "DicomFacts",
    "FolderListing",
    "MaskCoding",
    "MaskEvidence",
    "MaskValues",
    "as_stored",
    "coding_of",
    "colour_counts",
    "colours_in_words",
    "dicom_facts",
    "dicom_frames",
    "encode_jpeg",
    "encode_png",
    "hash_pixels",
    "is_dicom",
    "is_hidden",
    "is_still",
    "list_folder",
    "list_images",
    "mask_problem",
    "natural_key",
    "natural_name_key",
    "picture_count",
    "pictures_in",
    "read_class_colours",
    "read_mask",
    "read_mask_values",
    "read_oriented_rgb",
    "read_rgb",
    "refuse_too_large_for_jpeg",
    "unreadable_dicom",
    "write_png",
]
