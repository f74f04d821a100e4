"""The benchmarks of a GPU on the test double: every one runs and gives what the page needs; no figure of it is kept."""

from __future__ import annotations

import contextlib
import ctypes
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.gpu import sections
from benchmarks.gpu.__main__ import main
from benchmarks.gpu.bandwidth import BandwidthPlan, bandwidth_figures
from benchmarks.gpu.bench import GpuBenchPlan, bench_figures
from benchmarks.gpu.latency import LatencyPlan, latency_figures
from benchmarks.gpu.opening import Opening
from benchmarks.gpu.probes import probed
from benchmarks.gpu.real_driver import RealGpu, real_gpu
from benchmarks.gpu.results import document_of, write_results
from benchmarks.gpu.soak import SoakPlan, soak_figures
from benchmarks.gpu.throughput import ThroughputPlan, throughput_figures
from edgeseg.artifacts import Conditions
from edgeseg.errors import EdgesegError
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.machine.bench.plan import BenchPlan, rule_within
from edgeseg.proof.timing.stability import StabilityRule
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.opener.use import Use

SHORT = StabilityRule(window_samples=2, window_s=0.0, max_s=0.2)
SHORT_BENCH = BenchPlan(rates=(Fraction(50),), lanes=(), batches=(), rule=rule_within(0.3))
SIZE = {"height": 90, "width": 120}
DOUBLE = RealGpu("The Double", "8.7", "none")


@pytest.fixture
def opening(double: Any, standin: Any, small_onnx: Path) -> Opening:
    from standin_engine import StandInEngine

    plan = small_onnx.read_bytes()
    return Opening("ONNX Runtime on the double", True, load_onnx(small_onnx), lambda: StandInEngine(plan))


@pytest.fixture
def current(double: Any) -> Iterator[None]:
    """A context that outlives the streams and events of a benchmark, as `run_section` holds one."""
    from edgeseg.runtime.cuda.driver import CudaDevice

    with CudaDevice():
        yield


def short_figures(opening: Opening) -> dict[str, Any]:
    """Every section but the peers', in a moment."""
    bandwidth = BandwidthPlan(**SIZE, network=(32, 32), frames=3, streams=2, copy_bytes=1 << 16, rule=SHORT)
    return {
        "latency": latency_figures(opening, LatencyPlan(**SIZE, frames=2, repetitions=2, parity_frames=2, rule=SHORT)),
        "throughput": throughput_figures(opening, ThroughputPlan(**SIZE, lanes=(1, 2), burst=4, rule=SHORT)),
        "bandwidth": bandwidth_figures(bandwidth),
        "bench": bench_figures(opening, GpuBenchPlan(**SIZE, plan=SHORT_BENCH)),
        "soak": soak_figures(opening, SoakPlan(**SIZE, frames=200, readings=10)),
    }


def test_each_section_gives_what_the_page_shows(current: None, opening: Opening, double: Any, tmp_path: Path) -> None:
    figures = short_figures(opening)
    assert set(figures["latency"]["ms"]) == {
        *("engine", "lane", "lane_planes", "device_frame", "h2d", "d2h", "whole_graph")
    }
    assert figures["latency"]["parity"] == {"frames": 2, "worst": 0.0, "mean": 0.0, "mask_flips": 0.0}
    assert [paced["rate_hz"] for paced in figures["bench"]["paced"]] == [50.0]
    assert set(figures["bench"]["stages"]) == {"copy", "pre", "infer", "post", "launch", "scale"}
    assert {layer["precision"] for layer in figures["bench"]["roofline"]["layers"]} == {"fp16"}
    assert figures["soak"]["frames"] == 200 and figures["soak"]["device_growth_bytes"] == 0
    assert set(figures["bandwidth"]["kernels"]) == {"bgr24", "bgr0", "nv12", "yuv420p", "mask"}
    for kind in ("nv12", "yuv420p"):
        kernel = figures["bandwidth"]["kernels"][kind]
        assert kernel["all_frames_bytes"] == 3 * (90 * 120 * 3 // 2 + 3 * 32 * 32)
    engine = {"name": opening.name, "stand_in": True}
    measured = {
        name: {"figures": section, "engine": engine, "conditions": Conditions().model_dump(mode="json")}
        for name, section in figures.items()
    }
    measured["peers"] = {"error": "not run"}
    document = document_of(DOUBLE, "small 16x16", measured, [], "")
    folder = tmp_path / "results"
    lines = write_results(folder, DOUBLE, document)
    assert [line.name for line in lines if line.figure == "not measured"] == ["against torch"]
    page = (folder / "the-double.md").read_text()
    assert "ONNX Runtime on the double" in page and "its times are torch's, not TensorRT's" in page
    assert json.loads((folder / "the-double.json").read_text())["engine"]["stand_in"] is True
    assert sorted(path.name for path in folder.iterdir()) == ["the-double.json", "the-double.md"]


def test_no_memory_stays_allocated(opening: Opening, double: Any) -> None:
    """Streams and events do: pycuda keeps those of a closed session, and they end with the section's process."""
    from edgeseg.runtime.cuda.driver import CudaDevice

    with CudaDevice():
        short_figures(opening)
    assert double.live()[0] == 0


def test_no_figure_of_the_double_is_written(double: Any, tmp_path: Path, capsys: Any) -> None:
    with pytest.raises(EdgesegError, match="test double"):
        real_gpu()
    assert main(["--out", str(tmp_path / "results")]) == 1
    assert "test double" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_nothing_measured_is_nothing_written() -> None:
    with pytest.raises(EdgesegError, match="nothing could be measured"):
        document_of(DOUBLE, "small", {"latency": {"error": "x"}}, [], "")


def test_peers_are_ratios_of_one_run(current: None, opening: Opening) -> None:
    torch = pytest.importorskip("torch")
    from benchmarks.gpu.peers import PeersPlan, peers_figures

    plan = PeersPlan(**SIZE, device="cpu", dtype=torch.float32, compiled=False, rule=SHORT)
    figures = peers_figures(opening, plan)
    assert figures["not_measured"] == {}
    assert set(figures["times_the_lane"]) == {"torch eager", "naive loop"}
    lane_ms = figures["ms"]["lane"]["p50"]
    assert figures["times_the_lane"]["naive loop"] == figures["ms"]["naive loop"]["p50"] / lane_ms


def test_a_peer_that_fails_or_disagrees_is_named(current: None, opening: Opening) -> None:
    pytest.importorskip("torch")
    from benchmarks.gpu.peers import _ready

    mask = np.full((16, 16), 255, np.uint8)
    segments = {"lane": lambda frame: mask, "wrong": lambda frame: 0 * mask, "broken": lambda frame: 1 // 0}
    ready, failures = _ready(segments, np.zeros((4, 4, 3), np.uint8))
    assert set(ready) == {"lane"}
    assert "0.0%" in failures["wrong"] and "ZeroDivisionError" in failures["broken"]


def test_probe_says_where_it_ended(opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    none = probed("tensorrt", Path("package"), lambda backend, package: opening)
    assert (none.runs, none.step) == (False, "import") and "tensorrt" in none.said
    from benchmarks.gpu import probes

    class Module:
        __version__ = "10.3.0"

    def refusing(backend: Any, package: Path) -> Opening:
        raise EdgesegError("no such tactic")

    monkeypatch.setattr(probes, "require", lambda name: Module)
    failed = probed("tensorrt", Path("package"), refusing)
    assert (failed.runs, failed.step) == (False, "build") and "no such tactic" in failed.said
    ran = probed("tensorrt-rtx", Path("package"), lambda backend, package: opening)
    assert ran.runs and "10.3.0" in ran.said


def test_a_section_that_hangs_or_fails_is_an_error_and_no_more(double: Any, tmp_path: Path) -> None:
    found = sections.section_apart("bandwidth", "torch", tmp_path / "no-package", limit_s=0.2)
    assert "not done within 0 s" in found["error"]
    found = sections.section_apart("latency", "torch", tmp_path / "no-package", limit_s=60)
    assert "exit code 5" in found["error"] and "no-package" in found["error"]


def test_a_section_is_written_with_its_engine_and_the_sensors_readings(
    double: Any, opening: Opening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = SoakPlan(**SIZE, frames=20, readings=10)
    monkeypatch.setattr(sections, "opening_for", lambda engine, package: opening)
    monkeypatch.setattr(sections, "figures_of", lambda section, open_engine: soak_figures(open_engine(), plan))
    sections.run_section("soak", "torch", tmp_path / "package", tmp_path / "soak.json")
    found = json.loads((tmp_path / "soak.json").read_text())
    assert found["engine"] == {"name": opening.name, "stand_in": True} and found["figures"]["frames"] == 20
    assert Conditions.model_validate(found["conditions"]).samples >= 1


def test_torchs_engine_runs_between_raw_addresses(
    current: None, small_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    import pycuda.driver

    from benchmarks.gpu import torch_engine

    def host_tensor(address: int, shape: tuple[int, ...], typestr: str) -> Any:
        size = int(np.prod(shape)) * np.dtype(typestr).itemsize
        memory = (ctypes.c_uint8 * size).from_address(address)
        return torch.from_numpy(np.frombuffer(memory, typestr).reshape(shape))

    monkeypatch.setattr(torch_engine, "tensor_at", host_tensor)
    monkeypatch.setattr(torch.cuda, "ExternalStream", lambda handle: handle)
    monkeypatch.setattr(torch.cuda, "stream", contextlib.nullcontext)
    context = torch_engine.TorchEngine(load_onnx(small_onnx), "cpu").create_execution_context()
    frame = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    source, target = pycuda.driver.to_device(frame), pycuda.driver.mem_alloc(16 * 16 * 4)
    assert context.set_input_shape("frame", (1, 16, 16, 3)) and not context.set_input_shape("frame", (2, 16, 16, 3))
    assert context.set_tensor_address("frame", int(source)) and not context.set_tensor_address("mask", 1)
    assert context.set_tensor_address("probability", int(target))
    assert context.execute_async_v3(1)
    found = np.empty((1, 1, 16, 16), np.float32)
    pycuda.driver.memcpy_dtoh(found, target)
    np.testing.assert_allclose(found, open_engine(small_onnx, Use(1)).infer(frame), atol=0.02)
