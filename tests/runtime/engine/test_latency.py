from __future__ import annotations

import platform
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.runtime.engine import machine
from edgeseg.runtime.engine.latency import LatencyRecorder, percentiles_ms
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.specs import ModelSpec, PreprocessSpec

INFO = SessionInfo(ModelSpec(architecture="none", height=8, width=8), PreprocessSpec(), "onnxruntime", "int8", "0" * 64)


def test_percentiles_by_hand() -> None:
    spread = percentiles_ms([5_000_000, 1_000_000, 4_000_000, 2_000_000, 3_000_000])
    assert (spread.p50_ms, spread.max_ms, spread.mean_ms) == (3.0, 5.0, 3.0)
    assert spread.p90_ms == pytest.approx(4.6)
    assert spread.p99_ms == pytest.approx(4.96)


@given(st.lists(st.integers(0, 10**10), min_size=2, max_size=60))
def test_percentiles_are_those_of_the_standard_library(durations_ns: list[int]) -> None:
    spread = percentiles_ms(durations_ns)
    cuts = statistics.quantiles(durations_ns, n=100, method="inclusive")
    assert spread.p50_ms * 1e6 == pytest.approx(cuts[49])
    assert spread.p90_ms * 1e6 == pytest.approx(cuts[89])
    assert spread.p99_ms * 1e6 == pytest.approx(cuts[98])
    assert spread.max_ms * 1e6 == pytest.approx(max(durations_ns))


def test_nothing_to_sum_up_is_an_error() -> None:
    with pytest.raises(ValueError, match="no durations"):
        percentiles_ms([])
    with pytest.raises(ValueError, match="no durations"):
        LatencyRecorder().report(INFO, frames=1, inferences=1)


def test_measure_notes_the_block_and_forgets_one_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((100, 350, 1000))
    recorder = LatencyRecorder()
    monkeypatch.setattr("edgeseg.runtime.engine.latency.time.perf_counter_ns", lambda: next(clock))
    with recorder.measure("infer"):
        pass
    with pytest.raises(RuntimeError), recorder.measure("infer"):
        raise RuntimeError
    monkeypatch.undo()
    recorder.add("end_to_end", 400)
    report = recorder.report(INFO, frames=1, inferences=1)
    assert report.infer is not None
    assert report.infer.max_ms == pytest.approx(250e-6)
    assert recorder.last_ms("infer") == pytest.approx(250e-6)


def test_report_counts_rates_and_leaves_silent_stages_out(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, cpu = iter((0, 2_000_000_000)), iter((0, 500_000_000))
    monkeypatch.setattr("edgeseg.runtime.engine.latency.time.perf_counter_ns", lambda: next(wall))
    monkeypatch.setattr("edgeseg.runtime.engine.latency.time.process_time_ns", lambda: next(cpu))
    recorder = LatencyRecorder()
    recorder.add("end_to_end", 1)
    report = recorder.report(INFO, frames=50, inferences=48, drops=2, deadline_misses=3)
    assert (report.fps, report.cpu_ms_per_frame) == (25.0, 10.0)
    assert (report.frames, report.inferences, report.drops, report.deadline_misses) == (50, 48, 2, 3)
    assert (report.backend, report.precision) == ("onnxruntime", "int8")
    assert report.decode is None and report.draw is None


def test_the_machine_is_named_without_its_host() -> None:
    text = machine.describe_machine()
    assert "usable core" in text
    assert not platform.node() or platform.node() not in text


def test_a_board_stands_in_where_the_processor_has_no_name(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("proc")
    (folder / "cpuinfo").write_text("processor\t: 0\nBogoMIPS\t: 62.50\n")
    (folder / "model").write_bytes(b"NVIDIA Jetson Orin Nano\0")
    monkeypatch.setattr(machine, "CPUINFO", folder / "cpuinfo")
    monkeypatch.setattr(machine, "BOARD", folder / "model")
    assert machine.describe_machine().startswith("NVIDIA Jetson Orin Nano, ")
