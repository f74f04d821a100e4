"""A folder that files go to one by one, and go on going to when somebody renames it meanwhile."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)


class HeldFolder:
    """Made where it is not there, and held open: its name may change, the files still arrive in it.

    Args:
        path: The folder's path.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        left = sorted(part.name for part in path.glob(".*.part"))
        if left:
            logger.warning("a run that was killed left these in %s; nothing needs them: %s", path, ", ".join(left))

    def write(self, name: str, data: bytes) -> None:
        """Write a file, which appears whole or not at all."""
        part = f".{name}.part"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666, dir_fd=self._descriptor)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.replace(part, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part, dir_fd=self._descriptor)
            raise

    def free_name(self, stem: str, suffix: str) -> str:
        """A name that no file here has: an earlier run counted its frames from 0, too."""
        for number in itertools.count():
            name = f"{stem}{suffix}" if not number else f"{stem}-{number:03d}{suffix}"
            try:
                os.stat(name, dir_fd=self._descriptor)
            except FileNotFoundError:
                return name
        raise AssertionError("there is always a next number")

    def close(self) -> None:
        """Let go of it; once."""
        os.close(self._descriptor)
