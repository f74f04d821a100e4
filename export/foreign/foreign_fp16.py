"""Tries at import what a build will do later: the graph in FP16."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import onnx

from edgeseg.calibration.fp16 import with_fp16_convolutions
from edgeseg.errors import EdgesegError
from edgeseg.graph.files import serialize
from edgeseg.runtime.onnxruntime.onnxruntime_session import SILENT, opened, session_options

OPENS = f"""
import pathlib, sys
from {__name__} import open_fp16
open_fp16(pathlib.Path(sys.argv[1]).read_bytes())
"""
LONGEST_S = 600


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
    reason = _why_not_opened(serialize(half), any(node.op_type == "MatMul" for node in half.graph.node))
    return (_warning(origin, reason, "fp32, or --backend tensorrt"),) if reason else ()


def open_fp16(data: bytes) -> None:
    """Open a graph in ONNX Runtime; see `edgeseg.runtime.onnxruntime.onnxruntime_session.opened`."""
    options = session_options()
    options.log_severity_level = SILENT
    opened(data, options)


def _why_not_opened(data: bytes, alone: bool) -> str:
    """Why ONNX Runtime does not open an FP16 graph; empty where it does.

    Args:
        data: The graph.
        alone: Open it in a process of its own: ONNX Runtime 1.32 crashes on some transformers in FP16.
    """
    if not alone:
        try:
            open_fp16(data)
        except EdgesegError as error:
            return f"{error.what} ({error.found})"
        return ""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "half.onnx"
        path.write_bytes(data)
        command = [sys.executable, "-c", OPENS, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    if done.returncode < 0:
        return f"ONNX Runtime crashes when it opens the FP16 graph (signal {-done.returncode})"
    return done.stderr.strip()[-300:] if done.returncode else ""


def _warning(origin: str, reason: str, instead: str) -> str:
    return f"no FP16 engine for ONNX Runtime comes out of {origin} (take --precision {instead}): {_short(reason)}"


def _short(reason: str) -> str:
    return " ".join(reason.split())[:300]
