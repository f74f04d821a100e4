"""From a file to a session."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from edgeseg.artifacts import EngineArtifact
from edgeseg.graph.files import load_onnx, serialize
from edgeseg.packages import find_model, onnx_of
from edgeseg.runtime.engine.backends import EVERYWHERE, backend_named
from edgeseg.runtime.engine.layout import SessionLayout
from edgeseg.runtime.engine.machine import usable_cores
from edgeseg.runtime.engine.session import Session, SessionInfo
from edgeseg.runtime.onnxruntime.cpu_layout import fastest_engine
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession
from edgeseg.runtime.opener.in_process import checked_opener, open_with_room
from edgeseg.runtime.passport.passports import read_checked, session_info
from edgeseg.runtime.worker.session import WorkerSession

STREAMING_LANES = 2
"""Of a GPU: while one lane's result is read, the other computes."""


def open_engine(path: Path, threads: int = 0, streaming: bool = False) -> Session:
    """Load an engine after its passport has been checked: of a CPU here, of a GPU in a supervised process.

    This process never initialises CUDA; what the engine is bound to is checked where it will run.
    The process is spawned, so a script that calls this for a GPU's engine needs `if __name__ == "__main__":`.

    Args:
        path: NAME.engine, with NAME.engine.json beside it.
        threads: Threads inside one inference on a CPU backend; 0 takes every usable core.
        streaming: Lay it out for many frames one after another, rather than for one soon: on a CPU the sessions
            side by side that are fastest, on a GPU two lanes where its memory allows.

    Raises:
        BadInputError: There is no such engine, or no such backend here.
        MismatchError: The passport is missing or does not fit, or the engine is bound to another machine.
        MissingComponentError: This machine cannot execute engines of that backend.
        TransientError: The GPU has no memory for it.
    """
    data, passport = read_checked(path)
    if backend_named(passport.backend).device == "gpu":
        return _in_a_worker(path, passport, STREAMING_LANES if streaming else 1)
    open_session = checked_opener(path, data, passport)
    return _on_cpu(lambda each: open_session(SessionLayout(each)), threads, streaming)


def _in_a_worker(path: Path, passport: EngineArtifact, lanes: int) -> WorkerSession:
    return WorkerSession(functools.partial(open_with_room, path, lanes=lanes), session_info(passport))


def open_onnx(path: Path, threads: int = 0, streaming: bool = False) -> Session:
    """Load an .onnx file or a model package in FP32: the reference that engines are held against."""
    artifact = load_onnx(onnx_of(find_model(path)))
    metadata = artifact.metadata
    info = SessionInfo(metadata.model, metadata.preprocess, EVERYWHERE, "fp32", artifact.sha256)
    data = serialize(artifact.proto)
    return _on_cpu(lambda each: OnnxRuntimeSession(data, info, each), threads, streaming)


def _on_cpu(open_session: Callable[[int], Session], threads: int, streaming: bool) -> Session:
    """One session, or for streaming as many as are fastest, of `threads` threads or as many as suit."""
    cores = usable_cores()
    if streaming and cores > 1:
        return fastest_engine(lambda each: open_session(threads or each), cores)
    return open_session(threads)
