"""Files behind URLs, by fsspec: listed, told apart from later versions, and fetched for as long as they are read."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgeseg.errors import BadInputError
from edgeseg.images import natural_name_key
from edgeseg.optional import require
from edgeseg.runtime.batch.archive_source import ArchiveFile, shown_location

_LOCAL = "file://"


def is_url(word: str) -> bool:
    """Tell whether a word is a URL that fsspec opens."""
    return "://" in word


def local_path(url: str) -> Path | None:
    """Give the path that a ``file://`` URL names; None for any other."""
    return Path(url.removeprefix(_LOCAL)) if url.startswith(_LOCAL) else None


def list_remote(url: str) -> list[ArchiveFile]:
    """List the files that a URL names: a file, all files below a folder, or those that fit a glob; natural order.

    Raises:
        BadInputError: Nothing is there, or the file system cannot be reached.
        MissingComponentError: fsspec, or what it needs for this kind of URL, is not installed.
    """
    with _refused(url):
        system, path = require("fsspec.core").url_to_fs(url)
        if any(sign in path for sign in "*?["):
            found = system.glob(path, detail=True)
        elif system.isdir(path):
            found = system.find(path, detail=True)
        else:
            found = {path: system.info(path)}
        files = [
            ArchiveFile(_url(system, url, name), int(facts.get("size") or 0), str(system.ukey(name)))
            for name, facts in found.items()
            if facts.get("type") == "file"
        ]
    return sorted(files, key=lambda file: natural_name_key(file.name))


class FetchedFiles(contextlib.AbstractContextManager["FetchedFiles"]):
    """Keeps the file that was fetched last, since the next clip is mostly of the same."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._path: Path | None = None
        self._location = ""

    def path_of(self, file: ArchiveFile) -> Path:
        """Give a path at which a file can be read, until the next call.

        Raises:
            BadInputError: It cannot be fetched.
        """
        if not file.is_remote:
            return Path(file.location)
        if self._path is None or self._location != file.location:
            self._drop()
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="edgeseg-fetched-"))
            path = self._folder / Path(file.name).name
            with _refused(file.location):
                system, remote = require("fsspec.core").url_to_fs(file.location)
                system.get_file(remote, str(path))
            self._path, self._location = path, file.location
        return self._path

    def _drop(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self._path, self._location = None, ""

    def __exit__(self, *_: object) -> None:
        self._drop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _url(system: Any, url: str, path: str) -> str:
    """Give the URL of a path, with the user and password of the URL by which its file system was opened."""
    whole = str(system.unstrip_protocol(path))
    before, after = url.split("://", 1)
    user, at, _ = after.partition("/")[0].rpartition("@")
    return whole.replace(f"{before}://", f"{before}://{user}{at}", 1) if at and f"{user}@" not in whole else whole


@contextlib.contextmanager
def _refused(url: str) -> Iterator[None]:
    """Put whatever a file system raises into words."""
    try:
        yield
    except (OSError, ValueError, ImportError) as error:
        raise BadInputError(
            f"cannot read {shown_location(url)}",
            found=shown_location(" ".join(str(error).split())[:300]) or type(error).__name__,
            expected="a file, folder or glob that fsspec opens",
            next_command="python -c 'import fsspec; print(fsspec.available_protocols())' lists the kinds of URL",
        ) from error
