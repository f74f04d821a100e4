"""Opens a graph as a trial, in a process of its own where the library may crash on it, before it takes ours with it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import onnx

from edgeseg.child import ChildDiedError, ChildFailedError, answer_parent, ask_child
from edgeseg.errors import EdgesegError
from edgeseg.graph.onnx_files import parsed_unchecked, read_metadata, serialize
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.onnxruntime.onnxruntime_session import SILENT, opened, session_options
from edgeseg.runtime.openvino.openvino_session import compiled

FRAGILE = frozenset({"MatMul", "Einsum", "Attention"})
"""Operators of transformers: ONNX Runtime 1.32 and OpenVINO 2026.4 end the process on some of these in FP16."""
LONGEST_S = 600.0
THIS = "edgeseg.export.builders.trial_opening"


def why_not_opened(half: onnx.ModelProto) -> str:
    """Say why ONNX Runtime does not open an FP16 graph; empty where it does."""
    if is_fragile(half):
        return why_not_opened_apart(half, "onnxruntime")
    try:
        _open_in_onnxruntime(serialize(half))
    except EdgesegError as error:
        return _reason(error)
    return ""


def is_fragile(proto: onnx.ModelProto) -> bool:
    """Tell whether a library may crash on a graph, so that it is tried in a process of its own first."""
    return any(node.op_type in FRAGILE for node in proto.graph.node)


def why_not_opened_apart(proto: onnx.ModelProto, backend: str) -> str:
    """Say why a library does not open a graph, or that it crashed; empty where it opens it.

    Args:
        proto: A contract graph in any precision.
        backend: A key of `TRIALS`.
    """
    title, _ = TRIALS[backend]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        path.write_bytes(serialize(proto))
        try:
            ask_child(THIS, backend, str(path), role=title, timeout_s=LONGEST_S)
        except ChildDiedError as error:
            return f"{title} crashes when it opens the graph ({error.found})"
        except ChildFailedError as error:
            return _reason(error)
    return ""


def _open_in_onnxruntime(data: bytes) -> None:
    """Open a graph, and write nothing; see `edgeseg.runtime.onnxruntime.onnxruntime_session.opened`."""
    options = session_options()
    options.log_severity_level = SILENT
    opened(data, options)


def _open_in_openvino(data: bytes) -> None:
    metadata = read_metadata(parsed_unchecked(data, "the graph"), "the graph")
    compiled(data, SessionInfo(metadata.model, metadata.preprocess, "openvino", "fp16", ""))


TRIALS: dict[str, tuple[str, Callable[[bytes], None]]] = {
    "onnxruntime": ("ONNX Runtime", _open_in_onnxruntime),
    "openvino": ("OpenVINO", _open_in_openvino),
}
"""Backend -> the library's name and what opens a graph with it."""


def _answer(backend: str, path: str) -> str:
    TRIALS[backend][1](Path(path).read_bytes())
    return ""


def _reason(error: EdgesegError) -> str:
    return f"{error.what} ({error.found})" if error.found else error.what


if __name__ == "__main__":
    sys.exit(answer_parent(lambda: _answer(*sys.argv[1:])))
