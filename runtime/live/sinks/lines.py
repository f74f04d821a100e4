"""JSON lines that another program may follow while they grow, and times as a person's clock says them."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any


class JsonLines:
    """Appends documents to a file, one a line, each at once; a line that a power cut tore is closed by the next start.

    Args:
        path: May exist: lines are added.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        if self._file.tell() and not _ends_whole(path):
            self._file.write(b"\n")

    def add(self, document: dict[str, Any]) -> None:
        """Write a line."""
        self._file.write(json.dumps(document, allow_nan=False).encode() + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Bring the lines to the disk."""
        try:
            os.fsync(self._file.fileno())
        finally:
            self._file.close()


def utc_text(monotonic_ns: int) -> str:
    """A moment of `time.monotonic_ns` as UTC, for example ``2026-01-31T12:00:00.250Z``, by the clock as it is now."""
    since_ns = time.monotonic_ns() - monotonic_ns
    return utc_of_day((time.time_ns() - since_ns) / 1e9)


def utc_of_day(since_1970_s: float) -> str:
    """A moment of `time.time` in the same form."""
    moment = datetime.fromtimestamp(since_1970_s, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
