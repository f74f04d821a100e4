"""Sensors read beside a measurement, on a thread of their own."""

from __future__ import annotations

import contextlib
import statistics
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from edgeseg.artifacts import Conditions, SensorSpread
from edgeseg.errors import MissingComponentError
from edgeseg.proof.timing.company import ProcessorTimes, cores_busy, read_times
from edgeseg.proof.timing.nvml_probe import NvmlProbe
from edgeseg.proof.timing.probes import Probe, Reading, joined
from edgeseg.proof.timing.sysfs_probe import BoardProbe, CpuProbe

INTERVAL_S = 0.25
"""Seldom enough not to disturb: one round takes some tenths of a millisecond."""


def find_probes(gpu_bus_id: str | None, root: Path = Path("/")) -> tuple[Probe, ...]:
    """The sensors of this machine.

    Args:
        gpu_bus_id: PCI address of the GPU that is measured; None where none is.
        root: Root of the file system.
    """
    probes: list[Probe] = []
    if gpu_bus_id is not None:
        with contextlib.suppress(MissingComponentError):  # a Jetson of JetPack 6 has no NVML
            probes.append(NvmlProbe(gpu_bus_id))
    return (*probes, BoardProbe(root), CpuProbe(root))


def power_mode(probes: Sequence[Probe]) -> str | None:
    """Describe power limits and governors in one line, as the probes tell them."""
    modes = [mode for probe in probes if (mode := probe.power_mode())]
    return "; ".join(modes) or None


def summed_up(readings: Sequence[Reading], before: ProcessorTimes, after: ProcessorTimes) -> Conditions:
    """Readings of one measurement as a part of the report."""
    told = [reading.throttle for reading in readings if reading.throttle is not None]
    reasons = dict.fromkeys(reason for seen in told for reason in seen)
    own, others = cores_busy(before, after)
    first, last = before.throttled_periods, after.throttled_periods
    return Conditions(
        samples=len(readings),
        clocks_mhz=_spreads([reading.clocks_mhz for reading in readings]),
        power_watts=_spreads([reading.power_watts for reading in readings]),
        temperature_c=_spreads([reading.temperature_c for reading in readings]),
        throttle={reason: sum(reason in seen for seen in told) / len(told) for reason in reasons} if told else None,
        process_cores=own,
        other_cores=others,
        throttled_periods=None if first is None or last is None else last - first,
    )


class Watch:
    """Reads probes while the block runs; `conditions` afterwards.

    Args:
        probes: What to read.
        interval_s: How often.
    """

    def __init__(self, probes: Sequence[Probe], interval_s: float = INTERVAL_S) -> None:
        self._probes, self._interval_s = probes, interval_s
        self._readings: list[Reading] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read_on, name="edgeseg-sensors", daemon=True)
        self._before = self._after = read_times()

    @property
    def conditions(self) -> Conditions:
        """The conditions during the block."""
        return summed_up(self._readings, self._before, self._after)

    def __enter__(self) -> Watch:
        self._before = read_times()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._after = read_times()
        self._over.set()
        self._thread.join()

    def _read_on(self) -> None:
        while not self._over.wait(self._interval_s):
            self._readings.append(joined([probe.read() for probe in self._probes]))
        if not self._readings:  # shorter than the interval: better late than never
            self._readings.append(joined([probe.read() for probe in self._probes]))


def _spreads(readings: Sequence[Mapping[str, float]]) -> dict[str, SensorSpread] | None:
    names = dict.fromkeys(name for reading in readings for name in reading)
    spreads = {}
    for name in names:
        values = [reading[name] for reading in readings if name in reading]
        spreads[name] = SensorSpread(minimum=min(values), median=statistics.median(values), maximum=max(values))
    return spreads or None
