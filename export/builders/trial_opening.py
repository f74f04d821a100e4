"""Opens an FP16 graph in ONNX Runtime as a trial, in a process of its own where ONNX Runtime may crash on it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import onnx

from edgeseg.errors import EdgesegError
from edgeseg.graph.files import serialize
from edgeseg.runtime.onnxruntime.onnxruntime_session import SILENT, opened, session_options

OPENS = f"""
import pathlib, sys
from {__name__} import open_silently
open_silently(pathlib.Path(sys.argv[1]).read_bytes())
"""
LONGEST_S = 600


def why_not_opened(half: onnx.ModelProto) -> str:
    """Say why ONNX Runtime does not open an FP16 graph; empty where it does.

    ONNX Runtime 1.32 ends the process on some transformers in FP16 with a dynamic batch, so these are opened elsewhere.
    """
    if any(node.op_type == "MatMul" for node in half.graph.node):
        return _why_not_opened_elsewhere(serialize(half))
    try:
        open_silently(serialize(half))
    except EdgesegError as error:
        return f"{error.what} ({error.found})"
    return ""


def open_silently(data: bytes) -> None:
    """Open a graph, and write nothing; see `edgeseg.runtime.onnxruntime.onnxruntime_session.opened`."""
    options = session_options()
    options.log_severity_level = SILENT
    opened(data, options)


def _why_not_opened_elsewhere(data: bytes) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "half.onnx"
        path.write_bytes(data)
        command = [sys.executable, "-c", OPENS, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    if done.returncode < 0:
        return f"ONNX Runtime crashes when it opens the FP16 graph (signal {-done.returncode})"
    return done.stderr.strip()[-300:] if done.returncode else ""
