"""The option --sheet FILE.png."""

from __future__ import annotations

from pathlib import Path

from edgeseg.errors import UsageError
from edgeseg.files import check_writable


def check_sheet(sheet: Path | None) -> None:
    """Refuse a contact sheet that could not be written, before any work.

    Raises:
        UsageError: It is no PNG file.
        UnwritableError: Its folder is not writable.
    """
    if sheet is None:
        return
    if sheet.suffix.lower() != ".png":
        raise UsageError("--sheet writes a PNG file", found=sheet, expected="FILE.png")
    check_writable(sheet)
