"""Peaks and roofline, held against published figures and sums by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.calibration.fp16 import with_fp16_convolutions
from edgeseg.calibration.qdq_style import ONNXRUNTIME_STYLE
from edgeseg.calibration.quantise import quantise
from edgeseg.calibration.ranges import calibrate
from edgeseg.graph.cost import ConvolutionCost, convolution_costs
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.machine.bench.bench_report import Peaks
from edgeseg.machine.bench.cpu_peaks import best_seconds, cpu_peaks
from edgeseg.machine.bench.gpu_peaks import GpuAttributes, compute_peaks, gpu_peaks, memory_peak
from edgeseg.machine.bench.roofline import at_precision, layer_bound, roofline_of


def gpu(capability: tuple[int, int], multiprocessors: int, mhz: float, **others: object) -> GpuAttributes:
    usual = {"memory_clock_khz": 0, "memory_bus_bits": 0, "integrated": False}
    return GpuAttributes("board", capability, multiprocessors, round(mhz * 1e3), **{**usual, **others})


@pytest.mark.parametrize(
    ("board", "fp32", "fp16", "int8"),
    [
        (gpu((7, 5), 40, 1590), 8.1, 65, 130),  # Tesla T4, data sheet
        (gpu((8, 0), 108, 1410), 19.5, 312, 624),  # A100, data sheet
        (gpu((8, 6), 84, 1800), 38.7, 154.8, 309.7),  # RTX A6000, GA102 whitepaper
        (gpu((8, 7), 16, 1300), 5.3, 42.5, 85),  # Jetson AGX Orin 64GB, technical brief (dense)
        (gpu((8, 9), 142, 2505), 91.1, 364.2, 728.5),  # RTX 6000 Ada, Ada whitepaper
        (gpu((9, 0), 132, 1830), 61.9, 989.4, 1978.9),  # H100 SXM, whitepaper (FP32 at its tensor clock)
        (gpu((11, 0), 20, 1575), 8.1, 258, 517),  # Jetson T5000, data sheet (dense)
        (gpu((12, 0), 188, 2617), 126.0, 503.8, 1007.6),  # RTX PRO 6000 Blackwell, whitepaper
    ],
)
def test_the_rates_give_the_published_peaks(board: GpuAttributes, fp32: float, fp16: float, int8: float) -> None:
    """The peaks are in T operations a second, dense."""
    peaks = compute_peaks(board, tf32=False)
    assert peaks is not None
    found = {kind: rate / 1e12 for kind, rate in peaks[0].items()}
    assert found == pytest.approx({"fp32": fp32, "fp16": fp16, "int8": int8}, rel=0.02)


@pytest.mark.parametrize(
    ("mhz", "bits", "published_gb"),
    [(1215, 5120, 1555), (10501, 384, 1008), (2619, 5120, 3352), (5001, 256, 320)],  # A100-40, RTX 4090, H100 SXM, T4
)
def test_memory_by_clock_and_width(mhz: int, bits: int, published_gb: float) -> None:
    board = gpu((8, 0), 1, 1000, memory_clock_khz=1000 * mhz, memory_bus_bits=bits)
    assert memory_peak(board)[0] / 1e9 == pytest.approx(published_gb, rel=0.005)


def test_tf32_is_another_roof() -> None:
    board = gpu((8, 0), 108, 1410)
    assert compute_peaks(board, tf32=True)[0]["fp32"] / 1e12 == pytest.approx(156, rel=0.01)
    assert compute_peaks(gpu((7, 5), 40, 1590), tf32=True)[0] == compute_peaks(gpu((7, 5), 40, 1590), tf32=False)[0]


def test_what_is_not_known_is_not_guessed() -> None:
    told = {"memory_clock_khz": 1_000_000, "memory_bus_bits": 256}
    assert gpu_peaks(gpu((6, 1), 20, 1500, **told), False, None) is None
    assert gpu_peaks(gpu((8, 7), 16, 1300, **told, integrated=True), False, None) is None
    measured = gpu_peaks(gpu((8, 7), 16, 1300, **told, integrated=True), False, 180e9)
    assert measured.bytes_per_second == 180e9 and "measured in this run" in measured.memory_source


PEAKS = Peaks(
    operations_per_second={"fp32": 1e9, "fp16": 2e9, "int8": 4e9},
    bytes_per_second=1e9,
    compute_source="test",
    memory_source="test",
)


def cost(adds: int, values: int, precision: str = "fp32", weights: int = 0) -> ConvolutionCost:
    return ConvolutionCost("c", precision, adds, values, weights, values)


def test_a_layer_takes_the_longer_of_computing_and_moving() -> None:
    heavy = layer_bound(cost(5_000_000, 1000), PEAKS)
    assert (heavy.bound_ms, heavy.limit, heavy.memory_bytes) == (pytest.approx(10.0), "compute", 8000)
    light = layer_bound(cost(1000, 1_000_000, "int8", weights=500_000), PEAKS)
    assert (light.bound_ms, light.limit, light.memory_bytes) == (pytest.approx(2.5), "memory", 2_500_000)


def test_a_network_by_hand() -> None:
    roof = roofline_of([cost(5_000_000, 1000), cost(1000, 1_000_000, "int8", 500_000)], 100_000, PEAKS, 25.0)
    assert roof.bound_ms == pytest.approx(12.5)
    assert roof.compute_ms == pytest.approx(10.0 + 2000 / 4e9 * 1e3)
    assert roof.memory_ms == pytest.approx(2.508)
    assert roof.floor_ms == pytest.approx(roof.compute_ms)
    assert (roof.weight_bytes, roof.activation_bytes, roof.operations) == (500_000, 2_008_000, 10_002_000)
    assert (roof.limit, roof.achieved) == ("compute", pytest.approx(0.5))


costs = st.builds(
    ConvolutionCost,
    name=st.just("c"),
    precision=st.sampled_from(["fp32", "fp16", "int8"]),
    multiply_adds=st.integers(1, 10**10),
    input_values=st.integers(1, 10**8),
    weight_values=st.integers(1, 10**7),
    output_values=st.integers(1, 10**8),
)


@given(st.lists(costs, min_size=1, max_size=8), st.floats(1e-3, 1e4))
def test_a_bound_is_no_less_than_each_of_its_parts(network: list[ConvolutionCost], measured_ms: float) -> None:
    picture = network[0].input_values + network[-1].output_values  # a byte a value: no more than the layers move
    roof = roofline_of(network, picture, PEAKS, measured_ms)
    assert roof.bound_ms >= max(roof.compute_ms, roof.memory_ms, roof.floor_ms) * (1 - 1e-9)
    assert roof.bound_ms <= (roof.compute_ms + roof.memory_ms) * (1 + 1e-9)
    assert roof.bound_ms == pytest.approx(roof.achieved * measured_ms)
    assert roofline_of(at_precision(network, "int8"), picture, PEAKS, measured_ms).bound_ms <= roof.bound_ms


def test_costs_of_the_small_network_by_hand(small_artifact: OnnxArtifact) -> None:
    stem, down, residual, up, head = convolution_costs(small_artifact.proto)
    full, half = 16 * 16, 8 * 8
    assert (stem.input_values, stem.weight_values, stem.output_values) == (3 * full, 8 * 27, 8 * full)
    assert (down.input_values, down.output_values, down.multiply_adds) == (8 * half, 8 * half, half * 8 * 72)
    assert residual == ConvolutionCost("residual", "fp32", half * 8 * 72, 8 * half, 8 * 72, 8 * half)
    assert (up.input_values, head.output_values) == (16 * full, full)


def test_precisions_are_read_from_the_graph(small_artifact: OnnxArtifact) -> None:
    halves = convolution_costs(with_fp16_convolutions(small_artifact.proto))
    assert [cost.precision for cost in halves] == ["fp16"] * 5
    assert at_precision(halves, "fp32") == convolution_costs(small_artifact.proto)


def test_int8_convolutions_are_told_from_those_left_float(small_artifact: OnnxArtifact, small_images: Path) -> None:
    table = calibrate(small_artifact, sorted(small_images.iterdir()))
    quantised = convolution_costs(quantise(small_artifact, table, ONNXRUNTIME_STYLE).proto)
    assert [cost.precision for cost in quantised] == ["fp32", "int8", "int8", "int8", "fp32"]
    assert at_precision(quantised, "fp32") == convolution_costs(small_artifact.proto)


def test_the_cpu_is_measured() -> None:
    peaks = cpu_peaks(budget_s=0.01)
    assert 0 < peaks.operations_per_second["fp32"] == peaks.operations_per_second["fp16"]
    assert peaks.operations_per_second["int8"] >= peaks.operations_per_second["fp32"]
    assert peaks.bytes_per_second > 0
    assert "in this run" in peaks.compute_source and "in this run" in peaks.memory_source


def test_the_best_of_several_runs_counts() -> None:
    runs: list[int] = []
    assert best_seconds(lambda: runs.append(1), 0.0) < 1
    assert len(runs) == 4
