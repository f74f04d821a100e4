"""A model package in one file is a zip whose every byte follows from its members, and is read without being unpacked.

``NAME.edgeseg/model.onnx`` is the path of a member; the readers of files take it as any other path. Nothing is ever
written out, so no member's name leads anywhere, and nothing is compressed, so nothing grows when it is read. Everything
is refused with an OSError, as in `edgeseg.plain_files`.
"""

from __future__ import annotations

import errno
import io
import re
import stat
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgeseg.plain_files import MOST_BYTES, is_plain, read_plain

ARCHIVE_SUFFIX = ".edgeseg"
MANIFEST = "manifest.json"
"""The member that comes first."""
MOST_ARCHIVE_BYTES = 2**30
MOST_MEMBERS = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FIRST_TIME = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip can name: archives of the same members are the same whenever they are made."""
_UNIX = 3
_PLAIN_FILE = (stat.S_IFREG | 0o644) << 16


def is_member_name(name: str) -> bool:
    """Tell whether an archive can have a member of this name: letters, digits, dots, hyphens and underscores."""
    return _NAME.fullmatch(name) is not None


def archive_bytes(members: Mapping[str, bytes]) -> bytes:
    """Write an archive: the manifest first, the others by name, stored, with fixed times and rights.

    Args:
        members: Name -> content.

    Returns:
        The same bytes for the same members, with every version of Python and on every machine.

    Raises:
        ValueError: A name is no plain file name.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members, key=lambda name: (name != MANIFEST, name)):
            if not is_member_name(name):
                raise ValueError(f"{name!r} is no name for a member")
            info = zipfile.ZipInfo(name, _FIRST_TIME)
            info.create_system, info.external_attr = _UNIX, _PLAIN_FILE
            archive.writestr(info, members[name])
    return stream.getvalue()


def read_members(path: Path) -> dict[str, bytes]:
    """Read an archive whole.

    Returns:
        Name -> content, in the archive's order.

    Raises:
        OSError: It cannot be read, is larger than 1 GiB, or is not byte for byte what `archive_bytes` makes of its
            members; `strerror` says what was found.
    """
    data = read_plain(path, MOST_ARCHIVE_BYTES)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _refuse_strange(path, archive.infolist(), len(data))
            members = {info.filename: archive.read(info) for info in archive.infolist()}
    except OSError as error:
        raise error if error.filename is not None else _refused(path, f"no zip archive ({error})") from error
    except Exception as error:  # zipfile raises a dozen unrelated classes
        raise _refused(path, f"no zip archive, or a damaged one ({error})") from error
    if archive_bytes(members) != data:
        raise _refused(
            path, "bytes that do not follow from its members: times, order, rights, or something between them"
        )
    return members


def archive_of(path: Path) -> Path | None:
    """The archive that a path leads into; None where it is the path of something else."""
    parent = path.parent
    return parent if parent.suffix == ARCHIVE_SUFFIX and is_plain(parent) else None


def read_file(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """Read a plain file, or a member of an archive.

    Raises:
        OSError: As for `read_plain` and `read_members`, or the archive has no such member.
    """
    archive = archive_of(path)
    if archive is None:
        return read_plain(path, most_bytes)
    members = read_members(archive)
    if path.name not in members:
        raise FileNotFoundError(errno.ENOENT, f"no {path.name} in {archive.name}", str(path))
    if len(members[path.name]) > most_bytes:
        raise OSError(errno.EFBIG, f"more than {most_bytes} bytes", str(path))
    return members[path.name]


def is_file_or_member(path: Path) -> bool:
    """Tell whether a path leads to a plain file, or to a member of an archive that can be read."""
    archive = archive_of(path)
    if archive is None:
        return is_plain(path)
    try:
        return path.name in read_members(archive)
    except OSError:
        return False


def _refuse_strange(path: Path, infos: Sequence[zipfile.ZipInfo], size: int) -> None:
    """Put into words what the comparison at the end would refuse too, before anything is read."""
    if len(infos) > MOST_MEMBERS:
        raise _refused(path, f"{len(infos)} members, more than {MOST_MEMBERS}")
    names = [info.filename for info in infos]
    for info in infos:
        name = info.filename
        if not is_member_name(name):
            raise _refused(path, f"a member called {name[:60]!r}, which is no plain file name")
        if names.count(name) > 1:
            raise _refused(path, f"{names.count(name)} members called {name}")
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):  # some programs write no kind
            raise _refused(path, f"{name} is a link, a folder or a device")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size or info.flag_bits:
            raise _refused(path, f"{name} is compressed or encrypted, and could grow to anything")
    if sum(info.file_size for info in infos) > size:
        raise _refused(path, "members that overlap")


def _refused(path: Path, found: str) -> OSError:
    return OSError(errno.EINVAL, found, str(path))
