"""Finds the sources of an archive: files, folders, globs, URLs, and manifests that list such."""

from __future__ import annotations

import csv
import glob
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path

from edgeseg.errors import BadInputError
from edgeseg.files import read_text
from edgeseg.images import is_dicom, is_hidden, is_still, natural_key
from edgeseg.runtime.batch.archive_source import ArchiveFile, ArchiveSource
from edgeseg.runtime.batch.remote_files import is_url, list_remote, local_path
from edgeseg.shell import quoted

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".m2v", ".m2p", ".vob"}
    | {".wmv", ".asf", ".flv", ".f4v", ".ogv", ".ogg", ".3gp", ".mxf", ".dv", ".gif", ".dcm", ".dicom"}
)
"""Suffixes that make a file of a folder a video; one that is named itself may have any."""
MANIFEST_SUFFIXES = (".txt", ".csv")
COLUMN = "source"
"""The column of a CSV manifest that is read."""


@dataclass
class Listing:
    """The sources of an archive, each once, and what was passed over."""

    sources: list[ArchiveSource] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    """Suffix -> files of folders that are neither video nor picture."""


def list_archive(words: Sequence[str]) -> Listing:
    """Find what SOURCES name.

    Args:
        words: Paths of files and folders (which are searched to the bottom), globs, URLs of either, and manifests:
            a .txt with one of these a line, or a .csv with a column `source`; relative paths in it start at its folder.

    Raises:
        BadInputError: Nothing is where a word points, a manifest cannot be read, or no source is found at all. A path
            in a manifest at which nothing is becomes a source that fails.
    """
    passed_over: Counter[str] = Counter()
    files: dict[str, ArchiveFile] = {}
    for word in words:
        for file in _files_of(word, passed_over):
            files.setdefault(file.name, file)
    listing = Listing(_grouped(files.values()), passed_over)
    if not listing.sources:
        raise BadInputError(
            "there is no video and no picture among the sources",
            found=", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in passed_over.items())
            or "empty folders",
            expected=f"videos ({', '.join(sorted(VIDEO_SUFFIXES))}), pictures or DICOM objects",
        )
    return listing


def _files_of(word: str, passed_over: Counter[str]) -> list[ArchiveFile]:
    local = local_path(word) if is_url(word) else Path(word)
    if local is None:
        found = list_remote(word)
        taken = [len(found) == 1 or _is_taken(Path(file.name), is_remote=True) for file in found]
        passed_over.update(file.suffix for file, is_taken in zip(found, taken, strict=True) if not is_taken)
        return list(compress(found, taken))
    if local.is_dir():
        inside = [path for path in local.rglob("*") if not path.is_dir()]
        seen = [path for path in inside if not any(map(is_hidden, path.relative_to(local).parts))]
        taken = [_is_taken(path) for path in seen]
        passed_over.update(path.suffix.lower() for path, is_taken in zip(seen, taken, strict=True) if not is_taken)
        return [_local(path) for path in sorted(compress(seen, taken), key=natural_key)]
    if local.exists():
        if local.suffix.lower() in MANIFEST_SUFFIXES:
            return [file for line in read_manifest(local) for file in _listed(line, passed_over)]
        return [_local(local)]
    has_magic = glob.has_magic(str(local))
    matches = list(map(Path, glob.glob(str(local), recursive=True))) if has_magic else []  # noqa: PTH207  any root
    if not matches:
        raise BadInputError(
            f"there is no source at {word}",
            expected="a video, a picture, a folder, a glob, a URL, or a manifest (.txt, .csv) of them",
            next_command=f"ls {quoted(local.absolute().parent)}",
        )
    return [file for path in sorted(matches, key=natural_key) for file in _files_of(str(path), passed_over)]


def _listed(line: str, passed_over: Counter[str]) -> list[ArchiveFile]:
    """Find what a line of a manifest names; what is not there is listed all the same, and fails when its turn comes."""
    try:
        return _files_of(line, passed_over)
    except BadInputError:
        return [ArchiveFile(line if is_url(line) else _absolute(line), 0, "missing")]


def read_manifest(path: Path) -> list[str]:
    """Read the sources that a manifest lists.

    Args:
        path: A .txt, one source a line, # before what is to be left out; or a .csv with a column `source`.

    Raises:
        BadInputError: It cannot be read, has no such column, or lists another manifest.
    """
    text = read_text(path, "a manifest of sources")
    if path.suffix.lower() == ".csv":
        rows = csv.DictReader(text.splitlines())
        if COLUMN not in (rows.fieldnames or ()):
            raise BadInputError(
                f"the manifest {path} has no column {COLUMN}",
                found=", ".join(rows.fieldnames or ()) or "an empty file",
                expected=f"a first line with the names of the columns, one of them {COLUMN}",
            )
        words = [(row[COLUMN] or "").strip() for row in rows]
    else:
        words = [line.strip() for line in text.splitlines()]
    listed = [word for word in words if word and not word.startswith("#")]
    nested = next((word for word in listed if Path(word).suffix.lower() in MANIFEST_SUFFIXES), None)
    if nested is not None:
        raise BadInputError(f"the manifest {path} lists another manifest", found=nested, expected="one level")
    return [word if is_url(word) else str(path.absolute().parent / word) for word in listed]


def _is_taken(path: Path, is_remote: bool = False) -> bool:
    """Tell whether a file of a folder is a source, by its suffix; a local one without any, by being DICOM."""
    suffix = path.suffix.lower()
    if is_still(path) or suffix in VIDEO_SUFFIXES:
        return True
    return not is_remote and (not suffix or suffix[1:].isdecimal()) and is_dicom(path)


def _local(path: Path) -> ArchiveFile:
    facts = path.stat()
    return ArchiveFile(_absolute(path), facts.st_size, str(facts.st_mtime_ns))


def _absolute(path: Path | str) -> str:
    """Make a path absolute and free of ``..``, symbolic links kept: one file has one name wherever it is named from."""
    return os.path.abspath(path)  # noqa: PTH100  pathlib would follow the links, or keep the dots


def _grouped(files: Iterable[ArchiveFile]) -> list[ArchiveSource]:
    """Make a source of each video, and one of the still pictures of each folder."""
    sources: list[ArchiveSource] = []
    pictures: dict[str, list[ArchiveFile]] = {}
    for file in files:
        if is_still(Path(file.name)):
            pictures.setdefault(file.name.rpartition("/")[0], []).append(file)
        else:
            sources.append(ArchiveSource("video", file.name, (file,)))
    sources += [ArchiveSource("pictures", folder, tuple(members)) for folder, members in pictures.items()]
    return sorted(sources, key=lambda source: natural_key(Path(source.name)))
