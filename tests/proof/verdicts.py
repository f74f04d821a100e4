"""Verdicts as `edgeseg verify` writes them, made without running a network."""

from __future__ import annotations

import datetime
from typing import Any

from edgeseg.artifacts import (
    ConfidenceInterval,
    FoundPolyps,
    LatencyReport,
    Percentiles,
    PolypChange,
    RuleResult,
    Verdict,
    VerdictLimits,
    VerdictRow,
)
from edgeseg.specs import ModelSpec

MODEL = ModelSpec(architecture="bright-pixels", height=32, width=32)
BUILT = datetime.datetime(2026, 3, 2, 8, tzinfo=datetime.timezone.utc)


def row(name: str, dice: float, reference_dice: float = 0.9, **fields: Any) -> VerdictRow:
    drop = reference_dice - dice
    known = {"agreement": 0.95, "iou": dice / (2 - dice), "foreground": 0.2}
    return VerdictRow(name=name, dice=dice, reference_dice=reference_dice, drop=drop, **known | fields)


def latency(p50_ms: float = 8.0, p99_ms: float = 12.5, machine: str = "a processor") -> LatencyReport:
    times = Percentiles(p50_ms=p50_ms, p90_ms=p99_ms - 1, p99_ms=p99_ms, max_ms=p99_ms + 1, mean_ms=p50_ms)
    counts = {"frames": 200, "inferences": 200, "drops": 0, "deadline_misses": 0, "fps": 100.0, "cpu_ms_per_frame": 8.0}
    return LatencyReport(end_to_end=times, backend="onnxruntime", precision="int8", machine=machine, **counts)


def verdict(*rows: VerdictRow, lost: tuple[str, ...] = (), **fields: Any) -> Verdict:
    """Six images with a drop of 0.01 each, or `rows`; any field of the verdict can be given."""
    rows = rows or tuple(row(f"image_{index}", 0.89) for index in range(6))
    count, dice = len(rows), sum(each.dice for each in rows) / len(rows)
    nothing = PolypChange(count=0, of=0, names=(), interval=None)
    polyps = FoundPolyps(
        found_iou=0.5,
        images_with_polyp=count,
        reference_found=count,
        engine_found=count - len(lost),
        lost=PolypChange(count=len(lost), of=count, names=lost, interval=None),
        gained=nothing,
    )
    reference = sum(each.reference_dice for each in rows) / count
    known = {
        "passed": True,
        "reasons": ("mean Dice drop 0.0100 is within 0.0200",),
        "rules": (RuleResult(rule="mean Dice drop", passed=True, reasons=("mean Dice drop 0.0100 is within 0.0200",)),),
        "engine_sha256": "e" * 64,
        "reference_sha256": "f" * 64,
        "data_sha256": "d" * 64,
        "backend": "onnxruntime",
        "precision": "int8",
        "image_count": count,
        "mean_dice": dice,
        "mean_iou": 0.8,
        "reference_mean_dice": reference,
        "mean_dice_drop": reference - dice,
        "mean_agreement": 0.95,
        "confidence_interval": ConfidenceInterval(low=0.004, high=0.016),
        "polyps": polyps,
        "limits": VerdictLimits(max_dice_drop=0.02),
        "latency": latency(),
        "latency_samples_ms": (8.0,) * 10,
        "model": MODEL,
        "reference_model": MODEL,
        "reference_backend": "onnxruntime",
        "reference_precision": "fp32",
        "edgeseg_version": "0.1.0",
        "created": "2026-03-02T09:00:00+00:00",
    }
    return Verdict(**known | fields, rows=rows)
