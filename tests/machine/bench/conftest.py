from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edgeseg.artifacts import Conditions, Percentiles
from edgeseg.machine.bench.bench_report import BenchReport, PacedSeries, Series, Settings, Throughput
from edgeseg.specs import ModelSpec


def series(p50_ms: float, p99_ms: float | None = None, stable: bool = True, **seen: Any) -> Series:
    """A measurement with these figures."""
    last = 1.1 * p50_ms if p99_ms is None else p99_ms
    times = Percentiles(p50_ms=p50_ms, p90_ms=(p50_ms + last) / 2, p99_ms=last, max_ms=last, mean_ms=p50_ms)
    conditions = Conditions(samples=4, **{"other_cores": 0.0, **seen})
    return Series(end_to_end=times, samples=150, windows=3, stable=stable, conditions=conditions)


def paced_series(rate_hz: float, p50_ms: float, **options: Any) -> PacedSeries:
    return PacedSeries(
        rate_hz=rate_hz,
        budget_ms=1000 / rate_hz,
        over_budget_share=0.25,
        dropped=3,
        at_work=series(p50_ms).end_to_end,
        spin_share=0.01,
        series=series(p50_ms, **options),
    )


@pytest.fixture
def report_with() -> Callable[..., BenchReport]:
    """A report of a made-up GPU; any field may be given."""

    def make(**fields: Any) -> BenchReport:
        settings = Settings(
            source="synthetic, 8 frames of 640x480",
            frame_height=480,
            frame_width=640,
            frames_pinned=True,
            threads=None,
            tf32=False,
            power_mode="nvpmodel 0 (MAXN)",
            window_samples=50,
            window_s=0.5,
            agreeing_windows=3,
            tolerance=0.01,
            max_s=10,
        )
        usual: dict[str, Any] = {
            "engine_sha256": "a" * 64,
            "backend": "tensorrt",
            "backend_version": "10.3.0",
            "precision": "fp16",
            "model": ModelSpec(architecture="unet", height=64, width=96),
            "machine": "made-up board, 6 usable cores",
            "gpu": "made-up GPU (compute capability 8.7)",
            "settings": settings,
            "back_to_back": series(4.0),
            "stages": {"pre": series(0.5).end_to_end, "infer": series(3.0).end_to_end},
            "paced": (paced_series(25, 4.2), paced_series(50, 4.1)),
            "throughput": (
                Throughput(kind="lanes", lanes=2, frames_per_second=400.0, series=series(5.0)),
                Throughput(kind="batch", batch=8, skipped="one frame at a time"),
            ),
            "roofline_missing": "not asked for",
            "load_before": (0.5, 0.4, 0.3),
            "load_after": (0.9, 0.5, 0.3),
            "edgeseg_version": "0",
            "created": "2026-01-01T00:00:00+00:00",
        }
        return BenchReport(**{**usual, **fields})

    return make


@pytest.fixture
def make_series() -> Callable[..., Series]:
    return series


@pytest.fixture
def make_paced() -> Callable[..., PacedSeries]:
    return paced_series
