"""Sensors that Linux shows as files: any CPU's clocks, and what a Jetson has instead of NVML.

Paths: devfreq and thermal of the kernel's ABI documentation; INA3221 in Documentation/hwmon/ina3221; nvpmodel and its
configuration in the Jetson Linux Developer Guide. All of them below a root, so that tests can bring a tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from edgeseg.proof.timing.probes import Reading, number_in, text_in

GPU_DEVICES = re.compile(r"gpu|gv11b|ga10b|gb10b|gp10b|gm20b")
MEMORY_DEVICES = re.compile(r"emc|memory-controller")
THROTTLING_DEVICES = re.compile(r"throttle|alert")
RAILS = (1, 2, 3)
"""Channels of an INA3221; its higher ones are sums."""
NVPMODEL_STATUS, NVPMODEL_CONF = "var/lib/nvpmodel/status", "etc/nvpmodel.conf"


def power_mode_number(status: str) -> int | None:
    """Which mode nvpmodel's status file names: ``pmode:0002 fmode:quiet`` -> 2."""
    found = re.search(r"pmode:(\d+)", status)
    return None if found is None else int(found[1])


def power_modes(configuration: str) -> dict[int, str]:
    """The modes that nvpmodel.conf defines, by number."""
    defined = re.findall(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+?)\s*>", configuration)
    return {int(number): name for number, name in defined}


class CpuProbe:
    """Clocks and governor of the CPU.

    Args:
        root: Root of the file system.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._folders = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq"))

    def read(self) -> Reading:
        """The mean over the cores."""
        khz = [value for folder in self._folders if (value := number_in(folder / "scaling_cur_freq")) is not None]
        return Reading(clocks_mhz={"cpu": sum(khz) / len(khz) / 1e3} if khz else {})

    def power_mode(self) -> str | None:
        """The governors in use."""
        names = {name for folder in self._folders if (name := text_in(folder / "scaling_governor"))}
        return f"cpufreq governor {', '.join(sorted(names))}" if names else None

    def close(self) -> None:
        """Nothing to give back."""


class BoardProbe:
    """Thermal zones, power rails, and on a Jetson the clocks of GPU and memory and what slows them.

    Args:
        root: Root of the file system.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        system = root / "sys/class"
        self._zones = list(_named(system / "thermal", "thermal_zone*", "type", "temp"))
        self._clocks = list(_devfreq(system / "devfreq"))
        self._rails = list(_rails(system / "hwmon"))
        self._slowing = [
            (name, path)
            for name, path in _named(system / "thermal", "cooling_device*", "type", "cur_state")
            if THROTTLING_DEVICES.search(name)
        ]
        self._events = [(path.stem.partition("_")[0], path) for path in system.glob("hwmon/hwmon*/oc*_event_cnt")]
        self._counted = {path: number_in(path) for _, path in self._events}

    def read(self) -> Reading:
        """Every sensor that answers."""
        clocks = {name: hertz / 1e6 for name, path in self._clocks if (hertz := number_in(path)) is not None}
        zones = {name: milli / 1e3 for name, path in self._zones if (milli := number_in(path)) is not None}
        rails = {rail.name: watts for rail in self._rails if (watts := rail.watts()) is not None}
        return Reading(clocks, rails, zones, self._throttle())

    def power_mode(self) -> str | None:
        """The mode that nvpmodel was set to."""
        number = power_mode_number(text_in(self._root / NVPMODEL_STATUS) or "")
        if number is None:
            return None
        name = power_modes(text_in(self._root / NVPMODEL_CONF) or "").get(number)
        return f"nvpmodel {number}{f' ({name})' if name else ''}"

    def close(self) -> None:
        """Nothing to give back."""

    def _throttle(self) -> tuple[str, ...] | None:
        if not self._slowing and not self._events:
            return None
        reasons = [name for name, path in self._slowing if (number_in(path) or 0) > 0]
        for name, path in self._events:
            count, before = number_in(path), self._counted[path]
            if count is not None and before is not None and count > before:
                reasons.append(f"over-current {name}")
            self._counted[path] = count
        return tuple(dict.fromkeys(reasons))


class _Rail:
    """A power rail: a power in microwatts, or millivolts and milliamperes."""

    def __init__(self, name: str, power: Path | None, volts: Path | None = None, current: Path | None = None) -> None:
        self.name, self._power, self._volts, self._current = name, power, volts, current

    def watts(self) -> float | None:
        if self._power is not None:
            micro = number_in(self._power)
            return None if micro is None else micro / 1e6
        assert self._volts is not None and self._current is not None
        volts, current = number_in(self._volts), number_in(self._current)
        return None if volts is None or current is None else volts * current / 1e6


def _rails(folder: Path) -> Iterator[_Rail]:
    for device in sorted(folder.glob("hwmon*")):
        chip = text_in(device / "name") or device.name
        for power in sorted(device.glob("power[0-9]*_input")):
            label = text_in(device / power.name.replace("_input", "_label"))
            yield _Rail(label or f"{chip} {power.name.partition('_')[0]}", power)
        if chip != "ina3221":
            continue
        for channel in RAILS:
            volts, current = device / f"in{channel}_input", device / f"curr{channel}_input"
            if volts.exists() and current.exists() and number_in(device / f"in{channel}_enable") != 0:
                yield _Rail(text_in(device / f"in{channel}_label") or f"channel {channel}", None, volts, current)


def _devfreq(folder: Path) -> Iterator[tuple[str, Path]]:
    for device in sorted(folder.glob("*")):
        if GPU_DEVICES.search(device.name):
            yield "gpu" if device.name[:1].isdigit() else device.name, device / "cur_freq"
        elif MEMORY_DEVICES.search(device.name):
            yield "memory", device / "cur_freq"


def _named(folder: Path, pattern: str, name: str, value: str) -> Iterator[tuple[str, Path]]:
    for device in sorted(folder.glob(pattern)):
        yield text_in(device / name) or device.name, device / value
