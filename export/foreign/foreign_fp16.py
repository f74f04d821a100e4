"""Tries at import what a build will do later: the graph in FP16."""

from __future__ import annotations

import onnx

from edgeseg.calibration.fp16 import with_fp16_convolutions
from edgeseg.export.builders.trial_opening import why_not_opened


def fp16_warnings(proto: onnx.ModelProto, origin: str) -> tuple[str, ...]:
    """Say if no FP16 engine can be made of a graph, so that it is known when the network comes in.

    Args:
        proto: The contract graph, float32.
        origin: The foreign file.
    """
    try:
        half = with_fp16_convolutions(proto)
        onnx.checker.check_model(half, full_check=True)
    except Exception as error:  # the checker raises several unrelated classes
        return (_warning(origin, str(error), "fp32, or int8 on a CPU"),)
    reason = why_not_opened(half)
    return (_warning(origin, reason, "fp32, or --backend tensorrt"),) if reason else ()


def _warning(origin: str, reason: str, instead: str) -> str:
    short = " ".join(reason.split())[:300]
    return f"no FP16 engine for ONNX Runtime comes out of {origin} (take --precision {instead}): {short}"
