"""Files that appear whole or not at all, and the hashes that name their content."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from edgeseg.archive_members import archive_of, read_file
from edgeseg.errors import BadInputError, UsageError
from edgeseg.file_locks import held, is_held
from edgeseg.plain_files import MOST_TEXT_BYTES, open_plain
from edgeseg.shell import quoted
from edgeseg.strict_text import parse_json, parse_toml

logger = logging.getLogger(__name__)


class UnwritableError(BadInputError):
    """The place for an output cannot be written."""


def sha256_file(path: Path) -> str:
    """SHA-256 of the bytes of a file, or of a member of an archive, as 64 hex digits.

    Raises:
        OSError: It is missing, cannot be read, or is no plain file.
    """
    if archive_of(path) is not None:
        return sha256_bytes(read_file(path))
    digest = hashlib.sha256()
    with open_plain(path) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_bytes(data: bytes) -> str:
    """SHA-256 of bytes, as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_hashes(hashes: Iterable[str]) -> str:
    """One hash for a set of hashes, independent of their order."""
    return sha256_bytes("\n".join(sorted(hashes)).encode())


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/edgeseg``, or ``~/.cache/edgeseg``: what lies there may be deleted at any time; not created."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgeseg"


def check_writable(path: Path, *inputs: Path | None) -> None:
    """Refuse an output that could not be written or would replace what is read, before any work is done.

    Args:
        path: The output.
        inputs: Files that are read; None stands for one that was not named.

    Raises:
        UnwritableError: The nearest existing parent is no folder or not writable.
        UsageError: The output is one of `inputs`.
    """
    if any(other is not None and other.exists() and path.exists() and path.samefile(other) for other in inputs):
        raise UsageError(
            f"{path} is read and would be replaced",
            found="an output that is an input",
            expected="another file, so that the original stays",
        )
    parent = path.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UnwritableError(
            f"cannot write {path}",
            found=f"{parent} is not a folder that one can write to",
            next_command="choose another --out",
        )
    _tell_leftovers(path)


def check_writable_file(path: Path, *inputs: Path | None) -> None:
    """Refuse what `check_writable` refuses, and a folder where a file shall be written.

    Raises:
        UnwritableError: As there, or a folder.
        UsageError: As there.
    """
    if path.is_dir():
        raise UnwritableError(f"cannot write {path}", found="a folder", expected=f"a file, such as {path / 'FILE'}")
    check_writable(path, *inputs)


def leftovers(path: Path) -> list[Path]:
    """The hidden files and folders beside an output that a killed run left half written; those in work are not."""
    pattern = re.compile(rf"\.(?:{re.escape(path.stem)}|{re.escape(path.name)})-[a-z0-9_]{{8}}(?:\.\w+)?")
    try:
        names = sorted(entry.name for entry in os.scandir(path.absolute().parent) if pattern.fullmatch(entry.name))
    except OSError:
        return []
    return [left for left in (path.parent / name for name in names) if not is_held(left)]


def _tell_leftovers(path: Path) -> None:
    left = leftovers(path)
    if left:
        logger.warning(
            "a run that was killed left %s beside %s; nothing needs it any more: rm -r %s",
            "this" if len(left) == 1 else "these",
            path,
            " ".join(quoted(one) for one in left),
        )


@contextlib.contextmanager
def _unwritable_named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        raise UnwritableError(
            f"cannot write {path}", found=error.strerror or error, next_command="choose another --out, or make room"
        ) from error


@contextlib.contextmanager
def _parent_of(path: Path) -> Iterator[None]:
    """Make the folders above `path`; take those that were made away again when the block fails."""
    missing = [parent for parent in path.absolute().parents if not parent.exists()]
    with _unwritable_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # something else has come to lie there
            for parent in missing:
                parent.rmdir()
        raise


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it into place when the block ends well, else remove it.

    The temporary name keeps the suffix, since encoders choose their format by it.
    """
    with _parent_of(path):
        with _unwritable_named(path):
            descriptor, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
            os.close(descriptor)
        temporary = Path(name)
        try:
            with held(temporary):
                yield temporary
            with _unwritable_named(path):
                temporary.chmod(0o666 & ~_umask())
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path` that becomes `path` when the block ends well.

    Raises:
        UnwritableError: `path` exists and is not an empty folder.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UnwritableError(
            f"{path} exists and is not empty",
            expected="a new or empty folder",
            next_command="choose another --out, or remove it",
        )
    with _parent_of(path):
        with _unwritable_named(path):
            temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        try:
            with held(temporary):
                yield temporary
            with _unwritable_named(path):
                temporary.chmod(0o777 & ~_umask())
                if path.exists():
                    path.rmdir()
                temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with atomic_file(path) as temporary, _unwritable_named(path):
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file whole or not at all."""
    write_bytes(path, text.encode())


def read_bounded(path: Path, kind: str, most_bytes: int) -> bytes:
    """Read a file of bounded size, and nothing that is no regular file: a device may never end, a pipe never begin.

    Args:
        path: The file.
        kind: What it should be, for the message ("an envelope").
        most_bytes: The largest size.

    Raises:
        BadInputError: Missing, unreadable, no regular file, or too large.
    """
    try:
        return read_file(path, most_bytes)
    except OSError as error:
        raise BadInputError(f"cannot read {path}", found=error.strerror or error, expected=kind) from error


def read_text(path: Path, kind: str, encoding: str = "utf-8") -> str:
    """Read a text file of at most 64 MiB.

    Args:
        path: The file.
        kind: What it should be, for the message ("a recipe").
        encoding: ``utf-8-sig`` leaves out the mark that some editors put in front.

    Raises:
        BadInputError: Missing, unreadable, no plain file, too large, or not text.
    """
    try:
        return read_file(path, MOST_TEXT_BYTES).decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, UnicodeDecodeError) as error:
        found = getattr(error, "strerror", None) or error
        raise BadInputError(f"cannot read {path}", found=found, expected=f"{kind} (UTF-8 text)") from error


def read_json(path: Path, kind: str, encoding: str = "utf-8") -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: The file.
        kind: What it should be, for the message ("the record of a RUN").
        encoding: As for `read_text`.

    Raises:
        BadInputError: As for `read_text`, or it is no JSON object that all readers see alike.
    """
    try:
        document = parse_json(read_text(path, kind, encoding))
    except ValueError as error:
        raise BadInputError(f"{path} is no JSON", found=error, expected=kind) from error
    if not isinstance(document, dict):
        raise BadInputError(f"{path} is not what it should be", found=type(document).__name__, expected=kind)
    return document


def read_toml(path: Path, kind: str, next_command: str | None = None) -> dict[str, Any]:
    """Read a TOML file.

    Args:
        path: The file.
        kind: What it should be, for the message ("a study").
        next_command: What to type where it is not.

    Raises:
        BadInputError: As for `read_text`, or it is not TOML.
    """
    try:
        return parse_toml(read_text(path, kind))
    except ValueError as error:
        raise BadInputError(f"{path} is no TOML", found=error, expected=kind, next_command=next_command) from error


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
