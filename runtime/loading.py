"""From a file to a session."""

from __future__ import annotations

import logging
from pathlib import Path

from edgeseg.errors import MissingComponentError
from edgeseg.graph.files import load_onnx, serialize
from edgeseg.packages import find_model, onnx_of
from edgeseg.runtime.backends.onnxruntime_session import OnnxRuntimeSession
from edgeseg.runtime.bindings import check_binding, read_machine
from edgeseg.runtime.passports import read_checked
from edgeseg.runtime.session import Session, SessionInfo


def open_engine(path: Path, threads: int = 0) -> Session:
    """Load an engine after its passport has been checked.

    Args:
        path: NAME.engine, with NAME.engine.json beside it.
        threads: Threads inside one inference on a CPU backend; 0 takes every usable core.

    Raises:
        MismatchError: The passport is missing or does not fit, or the engine is bound to another machine.
        MissingComponentError: This machine cannot execute engines of that backend.
    """
    data, passport = read_checked(path)
    info = SessionInfo(
        passport.model, passport.preprocess, passport.backend, passport.precision, passport.engine_sha256
    )
    for warning in check_binding(passport, read_machine(passport.backend)):
        logging.getLogger(__name__).warning("%s: %s", path, warning)
    if passport.backend == "onnxruntime":
        return OnnxRuntimeSession(data, info, threads)
    raise MissingComponentError(
        f"this edgeseg builds {passport.backend} engines but does not execute them yet",
        found=f"{path} for {', '.join(passport.binding.compute_capabilities or ()) or 'a GPU'}",
        expected="an engine of the backend onnxruntime",
        next_command="edgeseg build-engine MODEL --backend onnxruntime --precision " + passport.precision,
    )


def open_onnx(path: Path, threads: int = 0) -> Session:
    """Load an .onnx file or a model package in FP32: the reference that engines are held against."""
    artifact = load_onnx(onnx_of(find_model(path)))
    metadata = artifact.metadata
    info = SessionInfo(metadata.model, metadata.preprocess, "onnxruntime", "fp32", artifact.sha256)
    return OnnxRuntimeSession(serialize(artifact.proto), info, threads)
