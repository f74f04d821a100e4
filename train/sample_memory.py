"""Keeps decoded pictures in memory where they fit, else in a file that is mapped into it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from edgeseg.errors import BadInputError
from edgeseg.progress import Say, quiet

BYTES_PER_PIXEL = 4
"""RGB and the mask."""
SHARE = 0.5
"""Share of the free memory that pictures may take; network, gradients and the page cache want the rest."""

Allocate = Callable[[tuple[int, ...]], NDArray[np.uint8]]
"""Gives a uint8 array of a shape, its content undefined."""


def in_memory(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A uint8 array of a shape, in memory."""
    return np.empty(shape, np.uint8)


def sample_bytes(count: int, height: int, width: int) -> int:
    """Bytes that decoded pairs take."""
    return count * height * width * BYTES_PER_PIXEL


def available_bytes(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that this process may still take: the machine's, or its control group's where that is less.

    Args:
        proc: The folder where the kernel tells of this process.
        cgroups: The folder where control groups are mounted; versions 1 and 2 are read.
    """
    left = (limit for limit in _group_bytes(proc, cgroups) if limit is not None)
    return min([int(psutil.virtual_memory().available), *left])


def _group_bytes(proc: Path, cgroups: Path) -> list[int | None]:
    """Read what is left in the groups of this process; a group's parents limit it too."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        lines = []
    found: list[int | None] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = cgroups / "memory" if controllers else cgroups
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else ("memory.max", "memory.current")
        group = root / path.lstrip("/")
        # Inside a container the path may be the host's, which is not there; the mount point then is the own group.
        folders = [group, *group.parents] if group.is_dir() else [root]
        found += [_left(folder, *names) for folder in folders if folder == root or root in folder.parents]
    return found


def _left(folder: Path, limit: str, usage: str) -> int | None:
    try:
        return max(int((folder / limit).read_text()) - int((folder / usage).read_text()), 0)
    except (OSError, ValueError):  # no such group, or "max"
        return None


@dataclass(frozen=True)
class Storage:
    """The place where the pictures of a training are kept."""

    mapped: bool
    """True if pictures lie in a file, because memory is too small."""
    folder: Path
    """Folder of that file."""

    def allocate(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """A uint8 array of a shape; a mapped one has no name on disk, so nothing of it outlives the process.

        Raises:
            BadInputError: The disk has no room.
        """
        return _mapped_array(shape, self.folder) if self.mapped else in_memory(shape)


def choose_storage(needed_bytes: int, available: int, folder: Path, say: Say = quiet) -> Storage:
    """Decide before anything is decoded.

    Args:
        needed_bytes: Size of all pictures, for all processes of this machine.
        available: What `available_bytes` says.
        folder: The folder for a file, should memory not do.
        say: Takes the line that says what was decided, where that is not the usual.

    Raises:
        BadInputError: Neither memory nor disk has the room.
    """
    if needed_bytes <= SHARE * available:
        return Storage(False, folder)
    free = shutil.disk_usage(folder).free
    if needed_bytes > free:
        raise BadInputError(
            "the decoded pictures fit neither into memory nor on the disk",
            found=f"{_size(needed_bytes)} of pictures, {_size(available)} of free memory, {_size(free)} in {folder}",
            expected=f"half of the free memory, or {_size(needed_bytes)} of disk beside RUN",
            next_command="--set model.height=... --set model.width=...  (smaller), or another --out",
        )
    say(
        f"{_size(needed_bytes)} of decoded pictures are more than half of the {_size(available)} of free memory: "
        f"they are kept in a file in {folder}, which goes when the training ends"
    )
    return Storage(True, folder)


def _mapped_array(shape: tuple[int, ...], folder: Path) -> NDArray[np.uint8]:
    with tempfile.TemporaryFile(dir=folder, prefix=".edgeseg-pictures-") as stream:
        try:  # a mapped page that finds no block on disk would end the process by SIGBUS
            os.posix_fallocate(stream.fileno(), 0, int(np.prod(shape)))
        except OSError as error:
            raise BadInputError(
                f"there is no room for the decoded pictures in {folder}", found=error.strerror, next_command="make room"
            ) from error
        return np.memmap(stream, np.uint8, "r+", shape=shape)


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
