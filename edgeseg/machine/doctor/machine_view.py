"""The machine as the checks see it: its files, commands and packages. Tests hand in another machine."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import resource
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMAND_SECONDS = 10.0
PROBE_SECONDS = 60.0
"""A driver that has to wake several GPUs takes its time."""


@dataclass(frozen=True)
class PythonFacts:
    """The interpreter that runs edgeseg."""

    version: str
    executable: str
    prefix: str
    base_prefix: str
    site_packages: str
    machine: str
    """``x86_64`` or ``aarch64``."""

    @property
    def in_venv(self) -> bool:
        """True if it is a virtual environment's."""
        return self.prefix != self.base_prefix

    @property
    def minor(self) -> str:
        """``3.11`` of ``3.11.7``."""
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True)
class MachineView:
    """A machine as the checks see it. Every field can be replaced, which is how the checks are tested."""

    python: PythonFacts
    root: Path = Path("/")
    """The folder that stands in for ``/``."""
    environment: Mapping[str, str] = field(default_factory=dict)
    home: Path = Path("/root")
    requirements: tuple[str, ...] = ()
    """Requirements in edgeseg's metadata, extras included; empty where edgeseg is not installed."""
    requires_python: str | None = None
    memlock_bytes: int | None = None
    """The most that this process may lock; None is no limit."""
    run: Callable[[Sequence[str]], str | None] = lambda command: None
    """A command's standard output; None where it is missing, fails or does not end."""
    which: Callable[[str], str | None] = lambda name: None
    installed_version: Callable[[str], str | None] = lambda distribution: None
    has_module: Callable[[str], bool] = lambda module: False
    probe: Callable[[str], dict[str, Any]] = lambda name: {"missing": "not asked"}
    """The answer of a child process; see loading_probes.py."""
    space_bytes: Callable[[Path], tuple[int, int] | None] = lambda path: None
    """Size and free space of the file system that a path lies on."""
    access: Callable[[Path, int], bool] = os.access
    can_listen: Callable[[], bool] = lambda: True
    """Tells whether a port of the loopback address can be had."""

    def path(self, absolute: str) -> Path:
        """Map an absolute path of the machine to where it lies below `root`."""
        return self.root / absolute.lstrip("/")

    def text(self, absolute: str) -> str | None:
        """A text file without its last line end; None where it cannot be read."""
        try:
            return self.path(absolute).read_text(errors="replace").strip("\0\n ")
        except OSError:
            return None

    def glob(self, pattern: str) -> list[Path]:
        """The paths of the machine that fit an absolute pattern, sorted."""
        with contextlib.suppress(OSError):
            return sorted(self.root.glob(pattern.lstrip("/")))
        return []

    @property
    def is_arm(self) -> bool:
        """True if this is a 64-bit Arm machine, as Jetson and IGX are."""
        return self.python.machine in ("aarch64", "arm64")


def this_machine() -> MachineView:
    """The machine that this runs on."""
    requirements, requires_python = _own_metadata()
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return MachineView(
        python=PythonFacts(
            version=platform.python_version(),
            executable=sys.executable,
            prefix=sys.prefix,
            base_prefix=sys.base_prefix,
            site_packages=sysconfig.get_paths()["purelib"],
            machine=platform.machine(),
        ),
        environment=dict(os.environ),
        home=Path.home(),
        requirements=requirements,
        requires_python=requires_python,
        memlock_bytes=None if soft == resource.RLIM_INFINITY else soft,
        run=run_command,
        which=shutil.which,
        installed_version=installed_version,
        has_module=has_module,
        probe=ask_child,
        space_bytes=space_bytes,
        can_listen=can_listen,
    )


def run_command(command: Sequence[str]) -> str | None:
    """A command's standard output; None where it is missing, fails or does not end in time."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=COMMAND_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def ask_child(name: str) -> dict[str, Any]:
    """Run a probe in a child process, which may load what would harm this one, or crash.

    Returns:
        The probe's answer; ``{"missing": why}`` where there is none.
    """
    command = [sys.executable, "-m", "edgeseg.machine.doctor.loading_probes", name]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        return {"missing": f"no answer within {PROBE_SECONDS:.0f} s"}
    try:
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return {"missing": f"the process that loads it ended with {done.returncode}: {' '.join(last)[:200]}"}
    return answer


def installed_version(distribution: str) -> str | None:
    """The version of an installed distribution; nothing is imported."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def has_module(module: str) -> bool:
    """Tell whether a top-level module can be found; nothing is imported."""
    return importlib.util.find_spec(module) is not None


def space_bytes(path: Path) -> tuple[int, int] | None:
    """Size and free space of the file system that a path (or its nearest parent that exists) lies on."""
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        usage = shutil.disk_usage(path)
    except OSError:
        return None
    return usage.total, usage.free


def can_listen() -> bool:
    """Tell whether a port of the loopback address can be had."""
    try:
        with socket.create_server(("127.0.0.1", 0)):
            return True
    except OSError:
        return False


def _own_metadata() -> tuple[tuple[str, ...], str | None]:
    try:
        metadata = importlib.metadata.metadata("edgeseg")
    except importlib.metadata.PackageNotFoundError:
        return (), None
    return tuple(metadata.get_all("Requires-Dist") or ()), metadata["Requires-Python"]
