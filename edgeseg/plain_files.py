"""Files of strangers are opened only where they are plain files, and read only up to a size.

A named pipe would be waited for, a device never ends, and a sparse file of a terabyte takes no room on the disk.
Everything is refused with an OSError, so that a reader has one kind of failure to put into words.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

MOST_TEXT_BYTES = 64 * 2**20
"""The largest document of ours has a line for each of some thousand pictures, and a hundredth of this size."""
MOST_BYTES = 4 * 2**30


def open_plain(path: Path) -> io.BufferedReader:
    """Open a file for reading, at its beginning.

    Raises:
        OSError: It is missing, cannot be read, or is no plain file; `strerror` says what it is.
    """
    try:
        # Without O_NONBLOCK a named pipe would be waited for; O_NOCTTY keeps a terminal from taking hold of us.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except ValueError as error:  # a null byte, or half a character: no file has such a name
        raise OSError(errno.EINVAL, f"no name of a file ({error})", str(path)) from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "no regular file", str(path))


def read_plain(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """Read a whole file.

    Args:
        path: The file.
        most_bytes: The size up to which it is read.

    Raises:
        OSError: As for `open_plain`, or it is larger.
    """
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most_bytes:
            raise OSError(errno.EFBIG, f"more than {most_bytes} bytes", str(path))
        return file.read(size)


def is_plain(path: Path) -> bool:
    """Tell whether a path leads to a plain file; a name that no file can have leads to none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
