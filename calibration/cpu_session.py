"""Opens a graph in ONNX Runtime on the CPU, for what calibration measures."""

from __future__ import annotations

import os
from typing import Any

import onnx

from edgeseg.graph.onnx_files import serialize
from edgeseg.optional import require

ERRORS_ONLY = 3


def cpu_session(proto: onnx.ModelProto) -> Any:
    """An InferenceSession that takes every core that this process may use."""
    onnxruntime = require("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    options.log_severity_level = ERRORS_ONLY
    return onnxruntime.InferenceSession(serialize(proto), options, providers=["CPUExecutionProvider"])
