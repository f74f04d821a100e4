"""A box with an empty home, on which every command is watched by strace: what it writes, and whom it calls."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT_S = 120
CALLS = "open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,symlink,symlinkat,link,linkat,rename,renameat,renameat2"
TALK = "connect,sendto,sendmsg,sendmmsg"
PATH = re.compile(r'(?:AT_FDCWD|\d+)<([^>]*)>, "([^"]*)"|\("([^"]*)"')
ADDRESS = re.compile(
    r'sin_port=htons\((\d+)\).*?inet_addr\("([^"]+)"|sin6_port=htons\((\d+)\).*?inet_pton\(AF_INET6, "([^"]+)"'
)
RESOLVERS = ("/etc/resolv.conf", "/run/systemd/resolve/")
"""Files and addresses that a look-up of a name reads or connects to first."""
NO_FILES = ("/dev/", "/proc/")
ORC = "orcexec."
"""GStreamer's Orc maps its code by such a file, which it unlinks at once: older ones know no other way."""
NAME_SERVICE = 53
FONTS = '<fontconfig><dir>/usr/share/fonts</dir><cachedir prefix="xdg">fontconfig</cachedir></fontconfig>'
"""No list of fonts is kept yet, so that a program that asks for fonts writes one."""


@dataclass(frozen=True)
class Trace:
    """The traced calls of a process and its children.

    Args:
        written: Files and folders that were made or opened for writing, absolute.
        calls: Addresses that were called, and the traces of look-ups.
    """

    written: tuple[str, ...]
    calls: tuple[str, ...]


@dataclass(frozen=True)
class Box:
    """Folders of its own; commands run in `work` and may leave there what was asked for."""

    strace: str
    folder: Path

    def __post_init__(self) -> None:
        for path in (self.home, self.temporary, self.work):
            path.mkdir()
        (self.folder / "fonts.conf").write_text(FONTS)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def temporary(self) -> Path:
        return self.folder / "temporary"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def edgeseg(self, *words: object, leaves: Iterable[str] = (), code: int = 0) -> None:
        """Run a command and hold it to what was asked for.

        Args:
            words: The command line.
            leaves: Names in `work` that it is to make, all of them and no others.
            code: The exit code that is expected.
        """
        before = names(self.work)
        done, trace = self.trace([sys.executable, "-m", "edgeseg.cli", *map(str, words)])
        assert done.returncode == code, done.stderr
        made = names(self.work) - before
        assert made == set(leaves), f"made {sorted(made)}"
        strangers = self.strangers(trace)
        assert not strangers, f"written elsewhere: {strangers}"
        assert not trace.calls, f"called: {trace.calls}"
        left = names(self.home) | names(self.temporary)
        left |= {path for path in trace.written if path.startswith("/dev/shm/") and Path(path).exists()}
        assert not left, f"left behind: {sorted(left)}"

    def trace(self, command: list[str]) -> tuple[subprocess.CompletedProcess[str], Trace]:
        """Run any command under strace."""
        log = self.folder / "trace"
        watch = [self.strace, "-f", "--seccomp-bpf", "-y", "-qq", "-s", "256", "-e", "signal=none", "-o", str(log)]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "FONTCONFIG_FILE": str(self.folder / "fonts.conf"),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        done = subprocess.run(
            [*watch, "-e", f"trace={CALLS},{TALK}", *command],
            cwd=self.work,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        return done, read_trace(log.read_text(errors="replace"), self.work)

    def strangers(self, trace: Trace) -> list[str]:
        """Give what was written elsewhere than in `work` and the temporary folder, even if it is gone by now."""
        places = (f"{self.work}/", f"{self.temporary}/", f"{self.home}/{ORC}", *NO_FILES)
        return [path for path in trace.written if not f"{path}/".startswith(places)]


def names(folder: Path) -> set[str]:
    """Give what lies in a folder."""
    return {path.name for path in folder.iterdir()}


def read_trace(text: str, folder: Path) -> Trace:
    """Make sense of what strace wrote; calls that failed wrote nothing, but a failed connection counts.

    Args:
        text: Its log.
        folder: Where the processes ran.
    """
    written, calls = {}, {}
    for line in text.splitlines():
        call = line.partition("(")[0].split()[-1]
        if call in TALK.split(","):
            for four_port, four, six_port, six in ADDRESS.findall(line):
                address, port = four or six, int(four_port or six_port)
                if not (address.startswith("127.") or address == "::1") or port == NAME_SERVICE:
                    calls[f"{address}:{port}"] = None
            if any(resolver in line for resolver in RESOLVERS):
                calls[line] = None
        elif call in CALLS.split(",") and " = -1 " not in line:
            paths = [str(Path(base or folder, name or plain)) for base, name, plain in PATH.findall(line)]
            if any(path.startswith(RESOLVERS) for path in paths):
                calls[paths[0]] = None
            if not call.startswith("open") or re.search(r"O_WRONLY|O_RDWR|O_CREAT", line):
                written.update(dict.fromkeys(paths[-1:]))
    return Trace(tuple(written), tuple(calls))
