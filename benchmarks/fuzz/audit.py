"""Watches for what a reader of files must not do: write elsewhere, connect, start a program, run what a file says."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import Any

FORBIDDEN = (
    *("socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec", "os.fork"),
    *("os.posix_spawn", "os.spawn", "pickle.find_class", "ctypes.dlopen", "shutil.unpack_archive"),
)
WRITING = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree")
BESIDE = ("os.remove", "os.mkdir", "os.rmdir")
"""Events whose last argument is the open folder that the path starts from, or -1."""
_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class ForbiddenActError(BaseException):
    """A reader did what no reader may; no `except Exception` swallows it."""


class Watch:
    """Watches this process by an audit hook (PEP 578), which cannot be taken off again.

    Native code is not seen: FFmpeg opens files without Python.

    Args:
        folder: The only place that may be written to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder.resolve()) + os.sep
        self.is_on = False
        """True while acts are refused."""
        sys.addaudithook(self._seen)

    def _seen(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.is_on:
            return
        if event in FORBIDDEN:
            raise ForbiddenActError(f"{event} {arguments!r:.200}")
        is_open = event == "open" and isinstance(arguments[2], int) and arguments[2] & _FLAGS
        if (is_open or event in WRITING) and isinstance(arguments[0], str | bytes | os.PathLike):
            opened = arguments[-1] if event in BESIDE else -1
            folder = Path(f"/proc/self/fd/{opened}").readlink() if opened >= 0 else Path()
            path = os.path.realpath(folder / os.fsdecode(arguments[int(event == "os.rename")]))
            if not (path + os.sep).startswith(self._folder) and path != os.devnull:
                raise ForbiddenActError(f"{event} {path}")


def limit_memory(room_bytes: int) -> None:
    """Let this process map no more than `room_bytes` beyond what it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + room_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def peak_bytes() -> int:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
