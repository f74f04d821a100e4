"""One source of an archive: a video, or the still pictures of one folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from edgeseg.files import sha256_bytes

_NAME_LENGTH = 40
_HASH_LENGTH = 12


@dataclass(frozen=True)
class ArchiveFile:
    """A file of an archive, here or elsewhere."""

    location: str
    """An absolute path or a URL, as it is opened; a URL may hold a password."""
    size_bytes: int
    version: str
    """Changes with the file: size and time of change, or what a remote file system tells."""

    @property
    def name(self) -> str:
        """The path or URL as it may be shown and kept."""
        return shown_location(self.location)

    @property
    def is_remote(self) -> bool:
        """True if the file must be fetched before it can be read."""
        return "://" in self.location

    @property
    def suffix(self) -> str:
        """The suffix of the file's name, in small letters."""
        return Path(self.name).suffix.lower()


@dataclass(frozen=True)
class ArchiveSource:
    """The unit of results: one Parquet file of frames for each."""

    kind: Literal["video", "pictures"]
    """A video (or whatever else holds frames in order), or still pictures that have nothing to do with one another."""
    name: str
    """The file's path or URL, or the folder's, as it may be shown."""
    files: tuple[ArchiveFile, ...]
    """The video, or the pictures in natural order."""

    @cached_property
    def key(self) -> str:
        """The name of the files that come of it: the end of its own name, and a hash of all of it."""
        stem = re.sub(r"[^A-Za-z0-9]+", "-", Path(self.name).stem).strip("-")[-_NAME_LENGTH:] or "source"
        return f"{stem}-{sha256_bytes(f'{self.kind} {self.name}'.encode())[:_HASH_LENGTH]}"

    @cached_property
    def version(self) -> str:
        """A hash that changes with the files."""
        lines = [f"{file.name} {file.size_bytes} {file.version}" for file in self.files]
        return sha256_bytes("\n".join(lines).encode())

    @property
    def size_bytes(self) -> int:
        """The size of its files."""
        return sum(file.size_bytes for file in self.files)

    @property
    def is_remote(self) -> bool:
        """True if its files must be fetched."""
        return any(file.is_remote for file in self.files)


def shown_location(location: str) -> str:
    """Leave user, password, query and fragment out of a URL; a path stays as it is."""
    if "://" not in location:
        return location
    parts = []
    for part in location.split("::"):
        if "://" not in part:
            parts.append(part)
            continue
        split = urlsplit(part)
        parts.append(f"{split.scheme}://{split.netloc.rpartition('@')[2]}{split.path}")
    return "::".join(parts)
