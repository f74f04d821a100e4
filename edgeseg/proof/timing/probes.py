"""Sensors: one reading is whatever could be read. What could not is left out, never guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Reading:
    """The sensors' values at one moment."""

    clocks_mhz: Mapping[str, float] = field(default_factory=dict)
    power_watts: Mapping[str, float] = field(default_factory=dict)
    temperature_c: Mapping[str, float] = field(default_factory=dict)
    throttle: tuple[str, ...] | None = None
    """Reasons for lowered clocks; None where nothing tells."""


class Probe(Protocol):
    """A group of sensors."""

    def read(self) -> Reading:
        """Now; never raises for a sensor that does not answer."""
        ...

    def power_mode(self) -> str | None:
        """The setting that bounds clocks or power, in words."""
        ...

    def close(self) -> None:
        """Give the sensors back."""
        ...


def joined(readings: list[Reading]) -> Reading:
    """The readings of several probes as one; a later probe does not overwrite an earlier one's sensor."""
    clocks: dict[str, float] = {}
    power: dict[str, float] = {}
    temperature: dict[str, float] = {}
    told = [reading.throttle for reading in readings if reading.throttle is not None]
    for reading in reversed(readings):
        clocks.update(reading.clocks_mhz)
        power.update(reading.power_watts)
        temperature.update(reading.temperature_c)
    reasons = tuple(dict.fromkeys(reason for reasons in told for reason in reasons))
    return Reading(clocks, power, temperature, reasons if told else None)


def number_in(path: Path) -> float | None:
    """The number that a file of /sys or /proc holds; None where it cannot be read or holds none."""
    text = text_in(path)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def text_in(path: Path) -> str | None:
    """A short text file without its line end; None where it cannot be read."""
    try:
        return path.read_text(errors="replace").strip("\0 \n")
    except OSError:
        return None
