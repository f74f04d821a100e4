"""The bench over lanes of the CUDA runtime. On the double no figure says anything about speed; none is looked at."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.cli import run as edgeseg
from edgeseg.graph.cost import convolution_costs
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.machine.bench.bench_frames import synthetic_frames
from edgeseg.machine.bench.bench_report import BenchReport
from edgeseg.machine.bench.bench_run import bench
from edgeseg.machine.bench.gpu_device import copy_bytes_per_second, read_attributes
from edgeseg.machine.bench.plan import BenchPlan, rule_within
from edgeseg.machine.bench.subject import Subject
from edgeseg.proof.timing.nvml_probe import gpu_bus_id
from edgeseg.runtime.cuda.cuda_engine import CudaOptions
from edgeseg.runtime.cuda.device_frames import DevicePixels
from edgeseg.runtime.engine.engine_layout import SessionLayout
from edgeseg.runtime.engine.inputs import EngineInput, PackedFrame
from edgeseg.runtime.engine.one_frame import probability_of
from edgeseg.runtime.opener.use import Use
from edgeseg.runtime.worker.worker_engine import WorkerEngine

PLAN = BenchPlan(rates=(Fraction(100),), lanes=(1, 3), batches=(1, 2, 4), rule=rule_within(0.2))
FRAME = np.random.default_rng(3).integers(0, 256, (30, 40, 3), dtype=np.uint8)


@pytest.fixture
def subject(standin: Callable[..., Any], small_onnx: Path) -> Subject:
    """The stand-in engine, opened in any layout."""

    def open_engine(use: Use) -> Any:
        frame_bytes = use.workers.supervisor.frame_bytes
        return standin(small_onnx, CudaOptions(0, use.at_once or 1, frame_bytes, stage_times=use.stage_times))

    def open_session(layout: SessionLayout) -> Any:
        return standin(small_onnx, CudaOptions(frame_bytes=1, largest_batch=layout.largest_batch))

    costs = convolution_costs(load_onnx(small_onnx).proto)
    return Subject(open_engine, open_session, "tensorrt", "stand-in", False, costs, largest_batch=2)


@pytest.mark.parametrize("integrated", [0, 1], ids=["discrete", "integrated"])
def test_a_whole_bench(double: Any, subject: Subject, integrated: int) -> None:
    double.set("integrated", integrated)
    report = bench(subject, synthetic_frames(30, 40), PLAN)
    assert double.live() == (0, 0), "everything was given back"
    assert report.gpu is not None and report.settings.frames_pinned and report.settings.threads is None
    copy = [] if integrated else ["copy"]
    assert list(report.stages) == [*copy, "pre", "infer", "post", "launch", "scale"]
    assert [paced.rate_hz for paced in report.paced] == [100]
    lanes = {point.lanes: point for point in report.throughput if point.kind == "lanes"}
    assert lanes[1].frames_per_second and lanes[3].frames_per_second and lanes[3].threads is None
    batches = {point.batch: point for point in report.throughput if point.kind == "batch"}
    assert batches[1].series is not None and batches[2].frames_per_second
    assert batches[4].skipped == "the engine was built for batches of at most 2"
    assert report.roofline is not None and report.roofline.layers[0].name == "stem"
    assert "measured in this run" in report.roofline.peaks.memory_source
    assert BenchReport.from_json(report.to_json()) == report


def test_lanes_that_do_not_fit_are_skipped_and_leave_nothing(double: Any, subject: Subject) -> None:
    double.set("mem_mb", 140)  # room for the measurement of the memory, and for few lanes with large frames
    plan = BenchPlan(rates=(), lanes=(1, 64), batches=(), roofline=False, rule=rule_within(0.1))
    report = bench(subject, synthetic_frames(1000, 2000), plan)
    few, many = report.throughput
    assert few.frames_per_second and many.frames_per_second is None
    assert "no memory left" in str(many.skipped)
    assert double.live() == (0, 0)


@pytest.mark.parametrize("integrated", [0, 1], ids=["discrete", "integrated"])
def test_timed_stages_follow_each_other_and_change_no_result(
    double: Any, standin: Callable[..., Any], small_onnx: Path, integrated: int
) -> None:
    double.set("integrated", integrated)
    plain = standin(small_onnx)
    plain.start(PackedFrame(FRAME, "rgb"))
    expected = plain.finish().probability.copy()
    assert plain.stage_times_ns is None
    plain.close()
    timed = standin(small_onnx, CudaOptions(lanes=2, stage_times=True))
    double.set("delay_us", 2000)
    timed.start(PackedFrame(FRAME, "rgb"))
    timed.start(PackedFrame(FRAME, "rgb"))
    for _ in range(2):
        np.testing.assert_array_equal(timed.finish().probability, expected)
        times = timed.stage_times_ns
        assert list(times) == (["pre", "infer", "post"] if integrated else ["copy", "pre", "infer", "post"])
        assert all(taken >= 0 for taken in times.values())
        assert sum(times.values()) >= 2_000_000, "at least the delay of one operation on the double"
    timed.close()
    assert double.live() == (0, 0)


def test_frames_and_results_on_the_device_are_timed_too(
    double: Any, standin: Callable[..., Any], small_onnx: Path
) -> None:
    from device_producer import Interface, Produced

    session = standin(small_onnx, CudaOptions(frame_bytes=1, results="device", stage_times=True))
    produced = Produced(FRAME, 3 * FRAME.shape[1])
    double.set("delay_us", 2000)
    for _ in range(2):
        session.start_device(DevicePixels(Interface(produced), "rgb24"))
        session.finish_device()
        times = session.stage_times_ns
        assert list(times) == ["copy", "pre", "infer", "post"]
        assert min(times.values()) >= 0 and times["infer"] > 0
    produced.free()
    session.close()
    assert double.live() == (0, 0)


def test_the_command_benches_a_tensorrt_engine_lane_by_lane(
    double: Any, build: Callable[..., Path], library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the stand-in for TensorRT; nothing stays allocated in the command's own process."""
    engine = build()
    library.unlink()
    words = ["--size", "40x30", "--rate", "none", "--lanes", "1,2", "--batch", "1,2", "--seconds", "0.2", "--json"]
    assert edgeseg(["bench", str(engine), *words]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["backend"], report["settings"]["frames_pinned"]) == ("tensorrt", True)
    lanes = [point for point in report["throughput"] if point["kind"] == "lanes"]
    assert [point["lanes"] for point in lanes] == [1, 2] and all(point["frames_per_second"] for point in lanes)
    assert list(report["stages"]) == ["copy", "pre", "infer", "post", "launch", "scale"]
    processes = {line.split()[0] for line in library.read_text().splitlines()}
    assert str(os.getpid()) in processes, "batches run here"
    assert len(processes) == 1 + 4, "one frame at a time, the stages, one lane and two: each as in `run`"
    assert double.live() == (0, 0)


def test_the_bench_gives_a_worker_the_planes_that_run_gives_it(
    build: Callable[..., Path], numbered_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, given = build(), list[tuple[str, Any]]()
    submit = WorkerEngine.submit

    def noted(self: WorkerEngine, frame: EngineInput) -> int | None:
        given.append((command, frame))
        return submit(self, frame)

    monkeypatch.setattr(WorkerEngine, "submit", noted)
    command = "run"
    assert edgeseg(["run", str(engine), str(numbered_clip), "--masks", str(tmp_path / "masks")]) == 0
    command = "bench"
    words = ["--rate", "none", "--lanes", "2", "--batch", "none", "--seconds", "0.2", "--json"]
    assert edgeseg(["bench", str(engine), "--source", str(numbered_clip), *words]) == 0
    forms = {command: {frame.form for other, frame in given if other == command} for command in ("run", "bench")}
    assert forms["run"] == forms["bench"] and len(forms["run"]) == 1, "planes, of one size, matrix and range"
    samples = {command: [frame.samples for other, frame in given if other == command] for command in forms}
    np.testing.assert_array_equal(samples["run"][0], samples["bench"][0])


def test_a_lane_that_times_nothing_makes_no_call_more(
    double: Any, standin: Callable[..., Any], small_onnx: Path
) -> None:
    calls = ("cuEventRecord", "cuEventRecordWithFlags", "cuEventElapsedTime", "cuEventCreate")
    engine = standin(small_onnx)
    before = {call: double.count(call) for call in calls}
    for _ in range(10):
        probability_of(engine, PackedFrame(FRAME, "bgr"))
    spent = {call: double.count(call) - before[call] for call in calls}
    assert spent == {"cuEventRecord": 10, "cuEventRecordWithFlags": 0, "cuEventElapsedTime": 0, "cuEventCreate": 0}
    engine.close()


@pytest.mark.parametrize("use", range(1, 6))
def test_a_timed_lane_that_cannot_be_made_leaves_nothing(
    double: Any, standin: Callable[..., Any], small_onnx: Path, use: int
) -> None:
    double.faults(f"cuEventCreate:{use}=2")
    with pytest.raises(Exception, match=r"memory|event"):
        standin(small_onnx, CudaOptions(stage_times=True))
    assert double.live() == (0, 0)


def test_what_the_gpu_tells(double: Any, standin: Callable[..., Any], small_onnx: Path) -> None:
    session = standin(small_onnx)
    attributes = read_attributes()
    assert (attributes.compute_capability, attributes.multiprocessors, attributes.clock_khz) == ((8, 7), 1, 1_000_000)
    assert copy_bytes_per_second() > 0
    assert gpu_bus_id()
    session.close()
    assert double.live() == (0, 0)
