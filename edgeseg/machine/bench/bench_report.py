"""The value that a bench gives: what was measured, and under which conditions. None: it could not be read."""

from __future__ import annotations

from typing import Literal

from edgeseg.artifacts import RESEARCH_NOTICE, Conditions, Percentiles, Precision
from edgeseg.specs import ModelSpec
from edgeseg.values import Part, Value

Limit = Literal["compute", "memory"]


class Series(Part):
    """One measurement of durations."""

    end_to_end: Percentiles
    """Frame in host memory to mask at the frame's size; for throughput to the result at the network's size."""
    samples: int
    """Number of samples behind the figures."""
    windows: int
    """Windows measured in all, settling included."""
    stable: bool
    """True if the last windows agreed before the time was over."""
    conditions: Conditions


class PacedSeries(Part):
    """Frames that came at a fixed rate."""

    rate_hz: float
    budget_ms: float
    at_work: Percentiles
    """The engine's own time for a frame, without a frame's wait for it: longer than back to back where clocks fall."""
    over_budget_share: float
    """Share of the frames that finished later than the budget or were dropped."""
    dropped: int
    """Frames that a newer one replaced before the engine was free."""
    wake_late_p99_ms: float | None = None
    """How late the process woke for a frame; no part of its latency."""
    spin_share: float
    """Part of the time that the wait for frames kept a core spinning."""
    series: Series
    """Latency from a frame's arrival to its mask."""


class Throughput(Part):
    """Frames a second in one layout; or why it was not measured."""

    kind: Literal["lanes", "batch"]
    lanes: int = 1
    threads: int | None = None
    """Inside one inference; null on a GPU."""
    batch: int = 1
    frames_per_second: float | None = None
    series: Series | None = None
    """Durations: for lanes, of one frame from its start to its result; for batches, of one batch through the network
    alone."""
    skipped: str | None = None


class LayerBound(Part):
    """One convolution under the roofline."""

    name: str
    precision: Precision
    operations: int
    """Two for each multiply-add."""
    memory_bytes: int
    """Input, weights and output once each."""
    bound_ms: float
    limit: Limit


class Peaks(Part):
    """The most that the hardware can do, and how that is known."""

    operations_per_second: dict[Precision, float]
    bytes_per_second: float
    compute_source: str
    memory_source: str


class Roofline(Part):
    """How close the network's inference comes to the hardware's bound."""

    peaks: Peaks
    operations: int
    weight_bytes: int
    activation_bytes: int
    """Every convolution's input and output once each."""
    bound_ms: float
    """Sum over the convolutions of the longer of computing and moving; the rest of the network is taken as free."""
    compute_ms: float
    """Computing alone, at peak."""
    memory_ms: float
    """Moving alone, at peak."""
    floor_ms: float
    """Bound with every activation kept on the chip: the longer of all computing and of moving the weights, the
    network's input and its output once. Nothing can be faster."""
    limit: Limit
    """The resource that bounds the larger part of `bound_ms`."""
    infer_p50_ms: float
    achieved: float
    """bound_ms / infer_p50_ms; above 1 where caches keep activations on the chip, or the peaks are too low."""
    layers: tuple[LayerBound, ...]


class Settings(Part):
    """How it was measured."""

    source: str
    frame_height: int
    frame_width: int
    frames_pinned: bool
    threads: int | None
    """Inside one inference; null on a GPU."""
    tf32: bool | None
    """True if FP32 convolutions may be rounded to TF32; null where the engine does not say."""
    power_mode: str | None
    window_samples: int
    window_s: float
    agreeing_windows: int
    tolerance: float
    max_s: float
    """Bound of one measurement."""


class BaselineComparison(Part):
    """How it stands against an earlier report."""

    passed: bool | Literal["undecided"]
    reasons: tuple[str, ...]
    baseline_created: str
    baseline_engine_sha256: str


class BenchReport(Value):
    """How fast an engine is on a machine."""

    engine_sha256: str
    backend: str
    backend_version: str | None
    precision: Precision
    model: ModelSpec
    machine: str
    """Processor and cores."""
    gpu: str | None
    """The GPU that the engine ran on; null on a CPU."""
    settings: Settings
    back_to_back: Series
    stages: dict[str, Percentiles]
    """Stage -> its time. On a CPU pre, infer and post, by the host's clock. On a GPU copy, pre, infer and post
    by its own, then launch (to the engine's process and back) and scale (the mask to the frame's size) by the
    host's."""
    paced: tuple[PacedSeries, ...] = ()
    throughput: tuple[Throughput, ...] = ()
    roofline: Roofline | None = None
    roofline_missing: str | None = None
    """Why there is none."""
    load_before: tuple[float, float, float] | None
    """The system's load average of 1, 5 and 15 minutes when the bench began."""
    load_after: tuple[float, float, float] | None
    notes: tuple[str, ...] = ()
    """Sentences that a reader must know before believing a figure."""
    comparison: BaselineComparison | None = None
    """The comparison with the baseline, if one was named."""
    edgeseg_version: str
    created: str
    """UTC, ISO 8601."""
    notice: str = RESEARCH_NOTICE
