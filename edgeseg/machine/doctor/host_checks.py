"""Checks what any host must give: disk, cache, shared memory, memory that may be locked, a port, cameras."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from edgeseg.machine.doctor.checks import Check, PartName
from edgeseg.machine.doctor.hardware import Hardware
from edgeseg.machine.doctor.machine_view import MachineView

MEBIBYTE = 1 << 20
DISK_BYTES = 2 << 30
"""Engines, timing caches, a report: an engine here is 2 to 20 MB, its report as much again."""
RING_BYTES = 128 * MEBIBYTE
"""Four frames of 3840x2160 in BGR with their results, the largest ring that live video takes."""


def check_host(view: MachineView, hardware: Hardware) -> list[Check]:
    """All of them."""
    return [
        check_cache(view),
        check_shared_memory(view),
        check_locked_memory(view, hardware),
        check_port(view),
        check_cameras(view),
    ]


def check_cache(view: MachineView) -> Check:
    """The folder that kernels, their timings and calibration tables are kept in, and the room beside it."""
    purpose = "kernels, their timings and calibration tables are kept here; engines need room"
    folder = Path(view.environment.get("XDG_CACHE_HOME") or view.home / ".cache") / "edgeseg"
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not view.access(nearest, os.W_OK):
        command = "export XDG_CACHE_HOME=a folder that one can write to"
        return _check("cache", "advice", f"{folder} cannot be written", purpose, command)
    space = view.space_bytes(folder)
    if space is None:
        return _check("cache", "unknown", f"{folder}; free space not told", purpose)
    found = f"{folder}, {space[1] / 1e9:.1f} GB free"
    if space[1] < DISK_BYTES:
        return _check("cache", "advice", found, purpose, f"make room: {DISK_BYTES / 1e9:.1f} GB or more")
    return _check("cache", "ok", found, purpose)


def check_shared_memory(view: MachineView) -> Check:
    """The size of /dev/shm, in which frames go to the engine's process."""
    purpose = "frames go to the engine's process through it"
    space = view.space_bytes(view.path("/dev/shm")) if view.path("/dev/shm").is_dir() else None
    if space is None:
        return _check("/dev/shm", "advice", "not there", purpose, "mount -t tmpfs tmpfs /dev/shm")
    found = f"{space[0] / MEBIBYTE:.0f} MiB, {space[1] / MEBIBYTE:.0f} MiB free"
    if space[1] < RING_BYTES:
        command = "docker run --shm-size=512m, or sudo mount -o remount,size=512m /dev/shm"
        return _check("/dev/shm", "advice", f"{found}; 4K video takes {RING_BYTES // MEBIBYTE}", purpose, command)
    return _check("/dev/shm", "ok", found, purpose)


def check_locked_memory(view: MachineView, hardware: Hardware) -> Check:
    """How much memory this process may lock."""
    purpose = "frames pinned for the GPU; where pinning is refused, each is copied once more"
    limit = view.memlock_bytes
    found = "no limit" if limit is None else f"{limit / MEBIBYTE:.0f} MiB"
    if hardware.gpu is None:
        return _check("locked memory", "not needed here", f"{found}; no GPU here", purpose)
    if limit is not None and limit < RING_BYTES:
        command = "docker run --ulimit memlock=-1, or ulimit -l unlimited (/etc/security/limits.conf)"
        return _check("locked memory", "advice", found, purpose, command)
    return _check("locked memory", "ok", found, purpose)


def check_port(view: MachineView) -> Check:
    """Check whether this process may listen on the loopback address."""
    purpose = "the page and metrics of live video"
    if view.can_listen():
        return _check("loopback port", "ok", "can be opened on 127.0.0.1", purpose, part="live video")
    found = "none can be opened on 127.0.0.1"
    command = "ip link set lo up, or look at the sandbox that this runs in"
    return _check("loopback port", "advice", found, purpose, command, part="live video")


def check_cameras(view: MachineView) -> Check:
    """The video devices, and whether this user may read them."""
    purpose = "cameras and capture cards"
    devices = view.glob("/dev/video*")
    if not devices:
        return _check("cameras", "not needed here", "no /dev/video*", purpose, part="live video")
    closed = [path for path in devices if not view.access(path, os.R_OK | os.W_OK)]
    names = ", ".join(f"/{path.relative_to(view.root)}" for path in devices)
    if not closed:
        return _check("cameras", "ok", names, purpose, part="live video")
    found = f"{names}; {len(closed)} of {len(devices)} may not be opened by this user"
    command = "sudo usermod -aG video $USER, and log in again (docker run --device /dev/video0 --group-add video)"
    return _check("cameras", "advice", found, purpose, command, part="live video")


def _check(
    name: str, status: Any, found: str, purpose: str, command: str | None = None, part: PartName = "host"
) -> Check:
    return Check(part=part, name=name, status=status, found=found, purpose=purpose, next_command=command)
