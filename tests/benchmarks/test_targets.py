from __future__ import annotations

from typing import Any

import pytest

from benchmarks.gpu.targets import targets


def measured(p50: float) -> dict[str, Any]:
    return {"p50": p50, "stable": True}


def latency(lane: float, device_frame: float) -> dict[str, Any]:
    p50 = {"engine": 0.5, "h2d": 0.1, "d2h": 0.02, "lane": lane, "device_frame": device_frame, "whole_graph": 0.6}
    p50["lane_planes"] = 0.6
    parity = {"frames": 8, "worst": 0.01, "mean": 0.001, "mask_flips": 0.0001}
    ms = {name: measured(value) for name, value in p50.items()}
    return {"ms": ms, "frames_pinned": True, "parity": parity}


@pytest.mark.parametrize(
    ("lane", "device_frame", "verdicts"),
    [(0.679, 0.559, ["met", "met"]), (0.681, 0.561, ["NOT MET", "NOT MET"])],
)
def test_latency_is_held_against_the_engine_the_copies_and_60_microseconds(
    lane: float, device_frame: float, verdicts: list[str]
) -> None:
    lines = targets({"latency": latency(lane, device_frame)})
    assert [line.verdict for line in lines[1:3]] == verdicts
    assert "frame in pinned memory" in lines[1].name
    assert "0.680 ms" in lines[1].limit and "0.560 ms" in lines[2].limit
    assert (lines[4].figure, lines[4].verdict) == ("0.600 ms", "-") and "planes" in lines[4].name
    assert [line.verdict for line in lines[5:]] == ["not measured"] * 5


def test_throughput_is_the_best_of_the_lanes_against_the_slower_of_graph_and_copies() -> None:
    alone = {"whole_graph": measured(0.5), "copies": measured(0.4)}
    lanes = {"1": measured(0.7), "2": measured(0.52), "3": measured(0.53)}
    line = targets({"throughput": {"alone_ms": alone, "lanes_ms": lanes}})[1]
    assert line.verdict == "met" and line.figure == "1923 frames/s with 2, 0.96 of the bound"
    lanes["2"] = measured(0.6)
    assert targets({"throughput": {"alone_ms": alone, "lanes_ms": lanes}})[1].verdict == "NOT MET"


def test_kernels_are_held_against_twice_the_time_of_their_bytes() -> None:
    kernel = {"all_frames_bytes": 10**9, "ms": {"chained": measured(2.1), "side_by_side": measured(1.9)}}
    figures = {"frames": 32, "frame": "3840x2160", "copy_bytes_per_s": 10**12, "kernels": {"nv12": kernel}}
    copied, chained, beside = targets({"bandwidth": {**figures, "published_bytes_per_s": 2 * 10**12}})[2:5]
    assert copied.figure == "1000 GB/s, 2000 by memory clock and width"
    assert (chained.verdict, beside.verdict) == ("NOT MET", "met")
    assert beside.limit == "2 x 1.000 ms" and "1.90 times" in beside.figure


@pytest.mark.parametrize(
    ("frames", "device", "resident", "verdict"),
    [
        (100_000, 0, 1000, "met"),
        (99_999, 0, 0, "NOT MET"),
        (100_000, 4 << 20, 0, "NOT MET"),
        (100_000, 0, 5 << 20, "NOT MET"),
    ],
)
def test_memory_is_flat_over_all_frames(frames: int, device: int, resident: int, verdict: str) -> None:
    figures = {"frames": frames, "device_growth_bytes": device, "resident_growth_bytes": resident}
    (line,) = [line for line in targets({"soak": figures}) if line.name.startswith(f"memory over {frames} frames")]
    assert line.verdict == verdict


def test_a_section_that_failed_says_so() -> None:
    assert {line.verdict for line in targets({"peers": {"error": "no torch"}})} == {"not measured"}


def test_what_has_no_limit_is_given_without_a_verdict() -> None:
    spread = {"p50_ms": 1.0, "p99_ms": 3.0}
    paced = {"rate_hz": 50.0, "budget_ms": 20.0, "over_budget_share": 0.125, "at_work": spread}
    figures = {
        "stages": {"pre": {"p50_ms": 0.25}, "infer": {"p50_ms": 0.5}},
        "paced": [{**paced, "series": {"end_to_end": spread}}],
        "roofline": {"bound_ms": 0.1, "infer_p50_ms": 0.4, "achieved": 0.25},
    }
    stages, at_50, roofline = targets({"bench": figures})[-3:]
    assert stages.figure == "pre 0.250, infer 0.500 ms"
    assert "50 Hz" in at_50.name and "p99 3.000 ms" in at_50.figure and "12.50% later than 20.0 ms" in at_50.figure
    assert roofline.figure == "0.100 of 0.400 ms, 25%"
    assert {line.verdict for line in (stages, at_50, roofline)} == {"-"}
    unknown = targets({"bench": {**figures, "roofline": None, "roofline_missing": "the peaks are not known"}})[-1]
    assert unknown.verdict == "not measured" and unknown.limit == "the peaks are not known"


def test_torchs_ratios_are_to_one_lane() -> None:
    figures = {
        "ms": {"lane": measured(0.5), "torch eager": measured(1.25)},
        "times_the_lane": {"torch eager": 2.5},
        "not_measured": {"torch.compile": "no compiler"},
    }
    lines = {line.name: line for line in targets({"peers": figures})}
    assert lines["torch eager against one lane (0.500 ms)"].figure == "2.50 times as long"
    assert lines["torch.compile against one lane"].verdict == "not measured"
