"""A table of pairs: columns of images, of masks and perhaps of splits, with commas, semicolons or tabs between them."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

from edgeseg.dataset.layout import UNSPLIT, Layout, SplitFiles, split_named
from edgeseg.dataset.pairing import Entry
from edgeseg.errors import BadInputError
from edgeseg.plain_files import MOST_TEXT_BYTES, read_plain

_IMAGE_COLUMNS = ("image", "images", "img", "image_path", "image_file", "filename", "file", "picture")
_MASK_COLUMNS = ("mask", "masks", "mask_path", "mask_file", "label", "gt", "groundtruth", "segmentation")

_LONGEST_PATH = 4096
"""Characters; no path of Linux has more (PATH_MAX)."""


def layout_of_table(table: Path) -> Layout:
    """Read a table; paths in it are relative to it.

    Raises:
        BadInputError: It names no such columns or no pairs, or it is no table of UTF-8 or UTF-16.
    """
    columns = pair_columns(table)
    if columns is None:
        raise no_table(table)
    image_column, mask_column, split_column = columns
    rows: dict[str, tuple[list[Entry], list[Entry]]] = {}
    for number, row in enumerate(_rows(table)):
        stated = (row.get(split_column or "") or "").strip()
        split = UNSPLIT if split_column is None else split_named(stated)
        names = row.get(image_column), row.get(mask_column)
        if not split or any(not name or len(name) > _LONGEST_PATH or "\0" in name for name in names):
            raise BadInputError(f"{table} has a row that names no pair", found=f"row {number + 2}: {row}"[:300])
        images, masks = rows.setdefault(split, ([], []))
        images.append(Entry(_path(table, row[image_column]), (f"{number:06d}",)))
        masks.append(Entry(_path(table, row[mask_column]), (f"{number:06d}",)))
    if not rows:
        raise BadInputError(f"{table} has no rows")
    parts = {split: SplitFiles(table.parent, tuple(images), tuple(masks)) for split, (images, masks) in rows.items()}
    return Layout(table, f"pairs listed in {table.name}", parts)


def pair_columns(table: Path) -> tuple[str, str, str | None] | None:
    """Find the columns of images, masks and splits (None: no splits) by their names; None if it has none such."""
    try:
        header = _reader(table).fieldnames or []
    except BadInputError:
        return None
    named = {cell.strip().casefold(): cell for cell in header}
    image = next((named[name] for name in _IMAGE_COLUMNS if name in named), None)
    mask = next((named[name] for name in _MASK_COLUMNS if name in named), None)
    return None if image is None or mask is None else (image, mask, named.get("split", named.get("subset")))


def no_table(table: Path) -> BadInputError:
    """Make the error for a table that does not say which of its columns are which."""
    try:
        found = "the columns " + ", ".join(_reader(table).fieldnames or ["(none)"])
    except BadInputError as error:
        return error
    return BadInputError(
        f"{table} does not say which column holds images and which masks",
        found=found[:200],
        expected=f"a header with one of {', '.join(_IMAGE_COLUMNS[:4])} and one of {', '.join(_MASK_COLUMNS[:4])}",
        next_command="add the line image,mask to its top",
    )


def _reader(table: Path) -> csv.DictReader[str]:
    """Open a table whose first line tells by what its columns are divided."""
    try:
        data = read_plain(table, MOST_TEXT_BYTES)
        is_wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = data.decode("utf-16" if is_wide else "utf-8-sig")
        divider = max(",;\t", key=(text.splitlines() or [""])[0].count)
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=divider)
        _ = reader.fieldnames
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(table, error) from error
    return reader


def _rows(table: Path) -> Iterator[dict[str, str]]:
    try:
        yield from _reader(table)
    except csv.Error as error:
        raise _unreadable(table, error) from error


def _unreadable(table: Path, error: Exception) -> BadInputError:
    return BadInputError(
        f"{table} cannot be read",
        found=getattr(error, "strerror", None) or error,
        expected="a CSV file of UTF-8",
        next_command="save it as CSV UTF-8",
    )


def _path(table: Path, cell: str) -> Path:
    """The file that a cell names; backslashes divide folders where no file has them in its name."""
    path = table.parent / cell.strip()
    return path if "\\" not in cell or path.exists() else table.parent / PureWindowsPath(cell.strip()).as_posix()
