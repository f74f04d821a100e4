"""A CSV file of pairs: a column of images, one of masks and perhaps one of splits."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from edgeseg.dataset.layout import UNSPLIT, Layout, SplitFiles, split_named
from edgeseg.dataset.pairing import Entry
from edgeseg.errors import BadInputError

_IMAGE_COLUMNS = ("image", "images", "img", "image_path", "image_file", "filename", "file", "picture")
_MASK_COLUMNS = ("mask", "masks", "mask_path", "mask_file", "label", "gt", "groundtruth", "segmentation")


def layout_of_table(table: Path) -> Layout:
    """Read a table; paths in it are relative to it.

    Raises:
        BadInputError: It names no such columns or no pairs, or it is no CSV file of UTF-8.
    """
    columns = pair_columns(table)
    if columns is None:
        raise BadInputError(
            f"{table} does not say which column holds images and which masks",
            expected=f"a header with one of {', '.join(_IMAGE_COLUMNS[:4])} and one of {', '.join(_MASK_COLUMNS[:4])}",
        )
    image_column, mask_column, split_column = columns
    rows: dict[str, tuple[list[Entry], list[Entry]]] = {}
    for number, row in enumerate(_rows(table)):
        stated = (row.get(split_column or "") or "").strip()
        split = UNSPLIT if split_column is None else split_named(stated)
        if not split or not row.get(image_column) or not row.get(mask_column):
            raise BadInputError(f"{table} has a row that names no pair", found=f"row {number + 2}: {row}")
        images, masks = rows.setdefault(split, ([], []))
        images.append(Entry(table.parent / row[image_column].strip(), (f"{number:06d}",)))
        masks.append(Entry(table.parent / row[mask_column].strip(), (f"{number:06d}",)))
    if not rows:
        raise BadInputError(f"{table} has no rows")
    parts = {split: SplitFiles(table.parent, tuple(images), tuple(masks)) for split, (images, masks) in rows.items()}
    return Layout(table, f"pairs listed in {table.name}", parts)


def pair_columns(table: Path) -> tuple[str, str, str | None] | None:
    """Find the columns of images, masks and splits (None: no splits) by their names; None if it has none such."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            header = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return None
    named = {cell.strip().casefold(): cell for cell in header}
    image = next((named[name] for name in _IMAGE_COLUMNS if name in named), None)
    mask = next((named[name] for name in _MASK_COLUMNS if name in named), None)
    return None if image is None or mask is None else (image, mask, named.get("split", named.get("subset")))


def _rows(table: Path) -> Iterator[dict[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            yield from csv.DictReader(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInputError(f"{table} cannot be read", found=error, expected="a CSV file of UTF-8") from error
