"""Jetson and IGX: JetPack, power mode, clocks."""

from __future__ import annotations

import re
from typing import Any

from edgeseg.machine.doctor.checks import Check
from edgeseg.machine.doctor.gpu_checks import numbers_of
from edgeseg.machine.doctor.hardware import Hardware
from edgeseg.machine.doctor.machine_view import MachineView
from edgeseg.proof.timing.sysfs_probe import (
    GPU_DEVICES,
    NVPMODEL_CONF,
    NVPMODEL_STATUS,
    power_mode_number,
    power_modes,
)

LOWEST_JETSON_LINUX = (36, 4)
"""JetPack 6.1, the first with TensorRT 10.3; 6.0 has 8.6."""
_GPU_CLOCKS = "/sys/class/devfreq/*"
_HZ_PER_MHZ = 1e6


def check_board(view: MachineView, hardware: Hardware) -> list[Check]:
    """Everything that only such a board has; nothing on other machines."""
    if not hardware.is_nvidia_board:
        return []
    return [check_jetpack(view, hardware), check_power_mode(view), check_clocks(view)]


def check_jetpack(view: MachineView, hardware: Hardware) -> Check:
    """The board's software release; IGX with IGX OS has one of its own, which is not compared with JetPack's."""
    purpose = "driver, CUDA and TensorRT of the board belong together by it"
    package = view.run(["dpkg-query", "--show", "--showformat=${Version}", "nvidia-jetpack"])
    names = [hardware.board or "NVIDIA board"]
    if hardware.jetpack is not None:
        names.append(f"JetPack {package.strip() if package else hardware.jetpack}")
    if hardware.jetson_linux is not None:
        names.append(f"Jetson Linux {hardware.jetson_linux}")
    found = ", ".join(names)
    if hardware.jetpack is None:
        return _check("JetPack", "unknown", f"{found}; the release is not known here", purpose, None)
    if numbers_of(hardware.jetson_linux or "") < LOWEST_JETSON_LINUX:
        flash = "update to JetPack 6.1 or later, or flash it with NVIDIA SDK Manager"
        return _check("JetPack", "wrong version", f"{found}; needed: JetPack 6.1 or later", purpose, flash)
    if not package:
        command = "sudo apt update && sudo apt install nvidia-jetpack"
        return _check("JetPack", "advice", f"{found}; the package nvidia-jetpack is not installed", purpose, command)
    return _check("JetPack", "ok", found, purpose, None)


def parse_power_mode(text: str) -> tuple[str, int | None] | None:
    """``NV Power Mode: MAXN`` and the number on the next line -> (``MAXN``, 0)."""
    match = re.search(r"NV Power Mode:[ \t]*(\S+)(?:\s+(\d+)\s*$)?", text, re.MULTILINE)
    return None if match is None else (match[1], None if match[2] is None else int(match[2]))


def check_power_mode(view: MachineView) -> Check:
    """The power mode, against the board's unrestricted ones (their names begin with MAXN)."""
    purpose = "cores, clocks and watts that the board allows"
    modes = power_modes(view.text(f"/{NVPMODEL_CONF}") or "")
    mode = parse_power_mode(view.run(["nvpmodel", "-q"]) or "") or _mode_of_files(view, modes)
    if mode is None:
        return _check("power mode", "unknown", "nvpmodel does not answer", purpose, "sudo nvpmodel -q")
    name, number = mode
    found = name if number is None else f"{name} (mode {number})"
    largest = [(len(best), best, number) for number, best in modes.items() if best.startswith("MAXN")]
    if name.startswith("MAXN") or not largest:
        return _check("power mode", "ok", found, purpose, None)
    _, best, number = max(largest)  # MAXN_SUPER is above MAXN where a board has both
    command = f"sudo nvpmodel -m {number}  ({best}; mind power supply and cooling)"
    return _check("power mode", "advice", found, purpose, command)


def _mode_of_files(view: MachineView, modes: dict[int, str]) -> tuple[str, int | None] | None:
    """Read the mode from nvpmodel's own status file, where nvpmodel does not answer, as in a container."""
    number = power_mode_number(view.text(f"/{NVPMODEL_STATUS}") or "")
    return None if number is None else (modes.get(number, "unnamed"), number)


def check_clocks(view: MachineView) -> Check:
    """Check whether the GPU's clock is held up, as jetson_clocks does, or falls when the GPU idles between frames."""
    purpose = "a GPU that idles between frames clocks down"
    for path in view.glob(_GPU_CLOCKS):
        if not GPU_DEVICES.search(path.name):
            continue
        lowest, highest = (_mhz(view, path.relative_to(view.root), name) for name in ("min_freq", "max_freq"))
        if lowest is None or highest is None:
            continue
        if lowest >= highest:
            return _check("GPU clock", "ok", f"held at {highest:.0f} MHz", purpose, None)
        found = f"{lowest:.0f} to {highest:.0f} MHz, as the load asks"
        return _check("GPU clock", "advice", found, purpose, "sudo jetson_clocks  (until the next boot)")
    return _check("GPU clock", "unknown", "not shown in /sys/class/devfreq", purpose, "sudo jetson_clocks --show")


def _mhz(view: MachineView, folder: Any, name: str) -> float | None:
    text = view.text(f"/{folder}/{name}") or ""
    return int(text) / _HZ_PER_MHZ if text.isdigit() else None


def _check(name: str, status: Any, found: str, purpose: str, command: str | None) -> Check:
    return Check(part="board", name=name, status=status, found=found, purpose=purpose, next_command=command)
