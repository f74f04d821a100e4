"""The limits that the figures are held against: each a line with figure, limit and whether it is met."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Sections = Mapping[str, Mapping[str, Any]]

OVERHEAD_MS = 0.060
SUSTAINED_SHARE = 0.95
BANDWIDTH_FACTOR = 2.0
SOAK_FRAMES = 100_000
DEVICE_GROWTH_BYTES = 2 << 20
RESIDENT_GROWTH_BYTES = 4 << 20
WORST_PROBABILITY = 0.05
MOST_MASK_FLIPS = 0.002
MIB = 1 << 20


@dataclass(frozen=True)
class Target:
    """One line."""

    name: str
    figure: str
    limit: str
    met: bool | None
    """None where there is no limit, or no figure."""

    @property
    def verdict(self) -> str:
        """The result in one word."""
        if self.met is None:
            return "-" if self.figure != "not measured" else "not measured"
        return "met" if self.met else "NOT MET"


def targets(sections: Sections) -> list[Target]:
    """Every line; those of a section that was not measured say so.

    Args:
        sections: Name to figures; a section that failed has the key ``error``.
    """
    makers: list[tuple[str, str, Callable[[Mapping[str, Any]], list[Target]]]] = [
        ("latency", "latency of a frame, parity", _latency),
        ("throughput", "sustained rate", _throughput),
        ("bandwidth", "kernels on 4K frames", _bandwidth),
        ("peers", "against torch", _peers),
        ("soak", "memory over 100,000 frames", _soak),
        ("bench", "at a camera's rate, stages, roofline", _bench),
    ]
    lines: list[Target] = []
    for section, words, make in makers:
        figures = sections.get(section, {"error": "not run"})
        lines += [Target(words, "not measured", "", None)] if "error" in figures else make(figures)
    return lines


def _latency(figures: Mapping[str, Any]) -> list[Target]:
    p50 = {name: measured["p50"] for name, measured in figures["ms"].items()}
    copies = p50["h2d"] + p50["d2h"]
    lane_limit, device_limit = p50["engine"] + copies + OVERHEAD_MS, p50["engine"] + OVERHEAD_MS
    parity = figures["parity"]
    memory = "pinned memory" if figures["frames_pinned"] else "memory that the driver refuses to pin"
    return [
        Target("T, the bare engine's graph", _ms(p50["engine"]), "", None),
        Target(
            f"one lane, frame in {memory} to mask on the host, p50",
            f"{p50['lane']:.3f} ms",
            f"T + H2D {p50['h2d']:.3f} + D2H {p50['d2h']:.3f} + 0.060 = {lane_limit:.3f} ms",
            p50["lane"] <= lane_limit,
        ),
        Target(
            "one lane, frame on the device to mask on the host, p50",
            f"{p50['device_frame']:.3f} ms",
            f"T + 0.060 = {device_limit:.3f} ms",
            p50["device_frame"] <= device_limit,
        ),
        Target(
            f"the engine against ONNX Runtime FP32, {parity['frames']} frames",
            f"worst {parity['worst']:.4f}, {parity['mask_flips']:.4%} of the mask's pixels",
            f"{WORST_PROBABILITY}, {MOST_MASK_FLIPS:.1%}",
            parity["worst"] <= WORST_PROBABILITY and parity["mask_flips"] <= MOST_MASK_FLIPS,
        ),
        Target(f"one lane, a decoder's planes in {memory} to mask on the host, p50", _ms(p50["lane_planes"]), "", None),
    ]


def _ms(duration_ms: float) -> str:
    return f"{duration_ms:.3f} ms"


def _throughput(figures: Mapping[str, Any]) -> list[Target]:
    alone = {name: measured["p50"] for name, measured in figures["alone_ms"].items()}
    slower = max(alone.values())
    rates = {lanes: measured["p50"] for lanes, measured in figures["lanes_ms"].items()}
    best = min(rates, key=lambda lanes: rates[lanes])
    share = slower / rates[best]
    each = ", ".join(f"{lanes}: {1e3 / ms:.0f}/s" for lanes, ms in rates.items())
    return [
        Target(
            f"sustained rate, best of lanes ({each})",
            f"{1e3 / rates[best]:.0f} frames/s with {best}, {share:.2f} of the bound",
            f"{SUSTAINED_SHARE} of {1e3 / slower:.0f}/s (graph {alone['whole_graph']:.3f}, "
            f"copy {alone['copies']:.3f} ms)",
            share >= SUSTAINED_SHARE,
        )
    ]


def _bandwidth(figures: Mapping[str, Any]) -> list[Target]:
    published = figures["published_bytes_per_s"]
    beside = f", {published / 1e9:.0f} by memory clock and width" if published else ""
    copied = f"{figures['copy_bytes_per_s'] / 1e9:.0f} GB/s{beside}"
    lines = [Target("copy on the device, read and written", copied, "", None)]
    for name, kernel in figures["kernels"].items():
        bound_ms = kernel["all_frames_bytes"] / figures["copy_bytes_per_s"] * 1e3
        for order, measured in kernel["ms"].items():
            factor = measured["p50"] / bound_ms
            lines.append(
                Target(
                    f"{name} kernel, {figures['frames']} frames of {figures['frame']}, {order.replace('_', ' ')}",
                    f"{measured['p50']:.3f} ms, {factor:.2f} times the bound",
                    f"{BANDWIDTH_FACTOR:.0f} x {bound_ms:.3f} ms",
                    factor <= BANDWIDTH_FACTOR,
                )
            )
    return lines


def _peers(figures: Mapping[str, Any]) -> list[Target]:
    lane_ms = figures["ms"]["lane"]["p50"]
    lines = [
        Target(f"{name} against one lane ({lane_ms:.3f} ms)", f"{times:.2f} times as long", "", None)
        for name, times in figures["times_the_lane"].items()
    ]
    return lines + [Target(f"{name} against one lane", "not measured", "", None) for name in figures["not_measured"]]


def _soak(figures: Mapping[str, Any]) -> list[Target]:
    device, resident = figures["device_growth_bytes"], figures["resident_growth_bytes"]
    flat = device < DEVICE_GROWTH_BYTES and resident < RESIDENT_GROWTH_BYTES
    return [
        Target(
            f"memory over {figures['frames']} frames",
            f"device +{device / MIB:.2f} MiB, process +{resident / MIB:.2f} MiB",
            f"{SOAK_FRAMES} frames, device < 2 MiB, process < 4 MiB",
            flat and figures["frames"] >= SOAK_FRAMES,
        )
    ]


def _bench(figures: Mapping[str, Any]) -> list[Target]:
    stages = ", ".join(f"{name} {spread['p50_ms']:.3f}" for name, spread in figures["stages"].items())
    lines = [Target("stages of a frame, p50", f"{stages} ms", "", None)]
    lines += [_paced(paced) for paced in figures["paced"]]
    roofline = figures["roofline"]
    if roofline is None:
        return [*lines, Target("the network against the roofline", "not measured", figures["roofline_missing"], None)]
    share = f"{roofline['bound_ms']:.3f} of {roofline['infer_p50_ms']:.3f} ms, {roofline['achieved']:.0%}"
    return [*lines, Target("the network against the roofline", share, "", None)]


def _paced(paced: Mapping[str, Any]) -> Target:
    spread, at_work = paced["series"]["end_to_end"], paced["at_work"]
    return Target(
        f"frames that come at {paced['rate_hz']:.4g} Hz, to the mask at their size",
        f"p50 {spread['p50_ms']:.3f}, p99 {spread['p99_ms']:.3f} ms (engine's own p50 {at_work['p50_ms']:.3f}); "
        f"{paced['over_budget_share']:.2%} later than {paced['budget_ms']:.1f} ms or dropped",
        "",
        None,
    )
