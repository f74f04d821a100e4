"""Sensors: a made-up Jetson below a temporary root, a made-up NVML, and a machine that shows nothing."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from edgeseg.errors import MissingComponentError
from edgeseg.proof.timing.company import ProcessorTimes, cores_busy, load_average, read_times
from edgeseg.proof.timing.conditions import Watch, find_probes, power_mode, summed_up
from edgeseg.proof.timing.nvml_probe import NvmlProbe, reasons_of
from edgeseg.proof.timing.probes import Reading, joined
from edgeseg.proof.timing.sysfs_probe import BoardProbe, CpuProbe

ORIN = {
    "sys/class/devfreq/17000000.gpu/cur_freq": "918000000\n",
    "sys/class/devfreq/15480000.nvdec/cur_freq": "1\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48500\n",
    "sys/class/thermal/thermal_zone1/type": "gpu-thermal\n",
    "sys/class/thermal/thermal_zone1/temp": "51250\n",
    "sys/class/thermal/cooling_device0/type": "pwm-fan\n",
    "sys/class/thermal/cooling_device0/cur_state": "2\n",
    "sys/class/thermal/cooling_device1/type": "gpu-throttle-alert\n",
    "sys/class/thermal/cooling_device1/cur_state": "0\n",
    "sys/class/hwmon/hwmon3/name": "ina3221\n",
    "sys/class/hwmon/hwmon3/in1_label": "VDD_GPU_SOC\n",
    "sys/class/hwmon/hwmon3/in1_input": "19640\n",
    "sys/class/hwmon/hwmon3/curr1_input": "640\n",
    "sys/class/hwmon/hwmon3/in2_label": "VDD_CPU_CV\n",
    "sys/class/hwmon/hwmon3/in2_input": "19640\n",
    "sys/class/hwmon/hwmon3/curr2_input": "100\n",
    "sys/class/hwmon/hwmon3/in3_label": "NC\n",
    "sys/class/hwmon/hwmon3/in3_enable": "0\n",
    "sys/class/hwmon/hwmon3/in3_input": "0\n",
    "sys/class/hwmon/hwmon3/curr3_input": "0\n",
    "sys/class/hwmon/hwmon3/in7_label": "sum of shunt voltages\n",
    "sys/class/hwmon/hwmon3/in7_input": "5\n",
    "sys/class/hwmon/hwmon4/name": "soctherm_oc\n",
    "sys/class/hwmon/hwmon4/oc3_event_cnt": "7\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1510400\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "729600\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "schedutil\n",
    "var/lib/nvpmodel/status": "pmode:0002 fmode:quiet\n",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=MAXN >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=2 NAME=MODE_30W >\n",
}
THOR = {
    "sys/class/devfreq/gpu-gpc-0/cur_freq": "1575000000\n",
    "sys/class/devfreq/gpu-nvd-0/cur_freq": "1692000000\n",
    "sys/class/hwmon/hwmon5/name": "ina238\n",
    "sys/class/hwmon/hwmon5/power1_input": "41250000\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    def grow(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return grow


def test_an_orin(tree: Callable[..., Path]) -> None:
    probe = BoardProbe(tree(ORIN))
    reading = probe.read()
    assert reading.clocks_mhz == {"gpu": 918.0}
    assert reading.temperature_c == {"cpu-thermal": 48.5, "gpu-thermal": 51.25}
    assert reading.power_watts == pytest.approx({"VDD_GPU_SOC": 19.64 * 0.64, "VDD_CPU_CV": 1.964})
    assert reading.throttle == ()
    assert probe.power_mode() == "nvpmodel 2 (MODE_30W)"


def test_a_thor(tree: Callable[..., Path]) -> None:
    reading = BoardProbe(tree(THOR)).read()
    assert reading.clocks_mhz == {"gpu-gpc-0": 1575.0, "gpu-nvd-0": 1692.0}
    assert reading.power_watts == {"ina238 power1": 41.25}
    assert reading.throttle is None


def test_throttling_is_told_by_cooling_devices_and_by_counters_that_grow(tree: Callable[..., Path]) -> None:
    root = tree(ORIN)
    probe = BoardProbe(root)
    tree({"sys/class/thermal/cooling_device1/cur_state": "1", "sys/class/hwmon/hwmon4/oc3_event_cnt": "9"})
    assert probe.read().throttle == ("gpu-throttle-alert", "over-current oc3")
    assert probe.read().throttle == ("gpu-throttle-alert",)


def test_a_sensor_that_falls_silent_is_left_out(tree: Callable[..., Path]) -> None:
    root = tree(ORIN)
    probe = BoardProbe(root)
    tree({"sys/class/thermal/thermal_zone1/temp": "no number"})
    (root / "sys/class/devfreq/17000000.gpu/cur_freq").unlink()
    (root / "sys/class/hwmon/hwmon3/curr1_input").unlink()
    reading = probe.read()
    assert "gpu-thermal" not in reading.temperature_c and "cpu-thermal" in reading.temperature_c
    assert reading.clocks_mhz == {} and "VDD_GPU_SOC" not in reading.power_watts


def test_the_cpu(tree: Callable[..., Path]) -> None:
    probe = CpuProbe(tree(ORIN))
    assert probe.read().clocks_mhz == {"cpu": pytest.approx(1120.0)}
    assert probe.power_mode() == "cpufreq governor schedutil"


def test_a_machine_that_shows_nothing(tmp_path: Path) -> None:
    probes = find_probes(None, tmp_path)
    assert power_mode(probes) is None
    silent = ProcessorTimes(1.0, None, 1.0)
    conditions = summed_up([joined([probe.read() for probe in probes])], silent, silent)
    shown = (conditions.clocks_mhz, conditions.power_watts, conditions.temperature_c, conditions.throttle)
    assert shown == (None, None, None, None)
    assert conditions.other_cores is None


class MadeUpNvml:
    """As pynvml, of one GPU; what is None there is not supported."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    class NVMLError(Exception):
        pass

    def __init__(self, **values: Any) -> None:
        self.values = {"sm": 210, "memory": 405, "milliwatts": 21_500, "celsius": 44, "bits": 0x1, "limit": 70_000}
        self.values.update(values)
        self.open = 0

    def nvmlInit(self) -> None:  # noqa: N802
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetHandleByPciBusId(self, bus_id: str) -> str:  # noqa: N802
        if bus_id != "0000:65:00.0":
            raise self.NVMLError("Not Found")
        return bus_id

    def nvmlDeviceGetClockInfo(self, gpu: str, kind: int) -> Any:  # noqa: N802
        return self._value({1: "sm", 2: "memory"}[kind])

    def nvmlDeviceGetPowerUsage(self, gpu: str) -> Any:  # noqa: N802
        return self._value("milliwatts")

    def nvmlDeviceGetTemperature(self, gpu: str, sensor: int) -> Any:  # noqa: N802
        return self._value("celsius")

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, gpu: str) -> Any:  # noqa: N802
        return self._value("bits")

    def nvmlDeviceGetEnforcedPowerLimit(self, gpu: str) -> Any:  # noqa: N802
        return self._value("limit")

    def _value(self, name: str) -> Any:
        if self.values[name] is None:
            raise self.NVMLError("Not Supported")
        return self.values[name]


def test_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = MadeUpNvml(bits=0x4 | 0x40)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    probe = NvmlProbe("0000:65:00.0")
    reading = probe.read()
    assert reading == Reading(
        {"sm": 210, "memory": 405}, {"gpu": 21.5}, {"gpu": 44}, ("power cap", "thermal (hardware)")
    )
    assert probe.power_mode() == "power limit 70 W"
    probe.close()
    assert nvml.open == 0


def test_what_a_board_does_not_support_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = dict.fromkeys(("sm", "memory", "milliwatts", "celsius", "bits", "limit"))
    monkeypatch.setitem(sys.modules, "pynvml", MadeUpNvml(**nothing))
    probe = NvmlProbe("0000:65:00.0")
    assert probe.read() == Reading()
    assert probe.power_mode() is None


def test_another_gpu_is_not_taken_for_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nvml = MadeUpNvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    with pytest.raises(MissingComponentError):
        NvmlProbe("0000:01:00.0")
    assert nvml.open == 0
    assert not any(isinstance(probe, NvmlProbe) for probe in find_probes("0000:01:00.0", tmp_path))
    assert isinstance(find_probes("0000:65:00.0", tmp_path)[0], NvmlProbe)


def test_a_machine_without_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MissingComponentError, match="pynvml") as caught:
        NvmlProbe("0000:65:00.0")
    assert "edgeseg[bench]" in str(caught.value.next_command)


def test_the_real_package_has_the_names_that_are_called() -> None:
    nvml = pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed: pip install 'edgeseg[bench]'")
    assert [name for name in dir(MadeUpNvml) if name.lower().startswith("nvml") and not hasattr(nvml, name)] == []
    assert reasons_of(nvml.nvmlClocksThrottleReasonSwPowerCap) == ("power cap",)
    assert reasons_of(nvml.nvmlClocksThrottleReasonHwThermalSlowdown) == ("thermal (hardware)",)
    assert reasons_of(nvml.nvmlClocksThrottleReasonNone) == ()


def test_an_unknown_reason_is_told_by_its_bits() -> None:
    assert reasons_of(0x1004) == ("power cap", "reason 0x1000")


def test_joined_readings_keep_the_first_probe_of_a_sensor() -> None:
    both = joined([Reading({"gpu": 1.0}, throttle=("a",)), Reading({"gpu": 2.0, "cpu": 3.0}, throttle=("a", "b"))])
    assert (both.clocks_mhz, both.throttle) == ({"gpu": 1.0, "cpu": 3.0}, ("a", "b"))


def test_sums_by_hand() -> None:
    readings = [
        Reading({"sm": 210.0}, throttle=("idle",)),
        Reading({"sm": 1500.0}, throttle=()),
        Reading({"sm": 1400.0}),
    ]
    conditions = summed_up(readings, ProcessorTimes(10.0, 100.0, 5.0), ProcessorTimes(14.0, 107.0, 9.0))
    clock = conditions.clocks_mhz["sm"]
    assert (clock.minimum, clock.median, clock.maximum) == (210, 1400, 1500)
    assert conditions.throttle == {"idle": 0.5}
    assert (conditions.process_cores, conditions.other_cores) == (1.0, 0.75)


def test_processor_times_of_proc_stat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stat").write_text("cpu  100 20 30 9999 500 6 7 8 3 0\ncpu0 1 1 1 1\n")
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    assert read_times().machine_s == pytest.approx((100 + 20 + 30 + 6 + 7 + 8) / os.sysconf("SC_CLK_TCK"))
    (tmp_path / "stat").unlink()
    assert read_times().machine_s is None
    assert cores_busy(ProcessorTimes(1, 1, 1), ProcessorTimes(1, 1, 1)) == (None, None)
    assert load_average() is None or len(load_average()) == 3


def test_sensors_are_read_beside_the_work_and_at_least_once() -> None:
    seen: list[float] = []
    probe = SimpleNamespace(read=lambda: seen.append(time.monotonic()) or Reading({"cpu": 1.0}))
    with Watch([probe], interval_s=0.005) as watch:
        time.sleep(0.2)
    assert watch.conditions.samples == len(seen) >= 2
    with Watch([probe], interval_s=60) as watch:
        pass
    assert watch.conditions.samples == 1
