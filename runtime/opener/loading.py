"""From a file to a session."""

from __future__ import annotations

import functools
import logging
from pathlib import Path

from edgeseg.artifacts import EngineArtifact
from edgeseg.errors import BadInputError
from edgeseg.graph.files import load_onnx, serialize
from edgeseg.packages import find_model, onnx_of
from edgeseg.runtime.engine.machine import usable_cores
from edgeseg.runtime.engine.session import Session, SessionInfo
from edgeseg.runtime.onnxruntime.cpu_layout import fastest_engine
from edgeseg.runtime.onnxruntime.int8_kernels import examine_int8_kernels
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession
from edgeseg.runtime.passport.bindings import PACKAGES, check_binding, read_machine
from edgeseg.runtime.passport.passports import read_checked, session_info
from edgeseg.runtime.worker.session import WorkerSession

STREAMING_LANES = 2
"""Of a GPU: while one lane's result is read, the other computes."""


def open_engine(path: Path, threads: int = 0, streaming: bool = False) -> Session:
    """Load an engine after its passport has been checked: of onnxruntime here, of a GPU in a supervised process.

    This process never initialises CUDA; what the engine is bound to is checked where it will run.
    The process is spawned, so a script that calls this for a GPU's engine needs `if __name__ == "__main__":`.

    Args:
        path: NAME.engine, with NAME.engine.json beside it.
        threads: Threads inside one inference on a CPU backend; 0 takes every usable core.
        streaming: Lay it out for many frames one after another, rather than for one soon: on a CPU the sessions
            side by side that are fastest, on a GPU two lanes where its memory allows.

    Raises:
        MismatchError: The passport is missing or does not fit, or the engine is bound to another machine.
        MissingComponentError: This machine cannot execute engines of that backend.
        TransientError: The GPU has no memory for it.
    """
    data, passport = read_checked(path)
    if passport.backend != "onnxruntime":
        return _in_a_worker(path, passport, STREAMING_LANES if streaming else 1)
    for warning in check_binding(passport, read_machine(passport.backend)):
        logging.getLogger(__name__).warning("%s: %s", path, warning)
    return _on_cpu(data, session_info(passport), threads, streaming, _precise(path, passport))


def _precise(path: Path, passport: EngineArtifact) -> bool:
    """Whether an INT8 engine needs kernels that cannot saturate: one whose passport does not say that it does not."""
    if passport.precision != "int8" or passport.binding.instruction_set is not None:
        return False
    if examine_int8_kernels().saturates:
        logging.getLogger(__name__).warning(
            "%s was built by an older edgeseg, and its INT8 sums could saturate on this processor: it is opened in a "
            "precise mode, which is slow; better: %s",
            path,
            passport.rebuild,
        )
    return True


def _in_a_worker(path: Path, passport: EngineArtifact, lanes: int) -> WorkerSession:
    from edgeseg.runtime.cuda.opening import open_with_room

    if passport.backend not in PACKAGES:
        raise BadInputError(
            f"{path} is of a backend that this edgeseg does not know",
            found=passport.backend,
            expected=", ".join(PACKAGES),
        )
    return WorkerSession(functools.partial(open_with_room, path, lanes=lanes), session_info(passport))


def open_onnx(path: Path, threads: int = 0, streaming: bool = False) -> Session:
    """Load an .onnx file or a model package in FP32: the reference that engines are held against."""
    artifact = load_onnx(onnx_of(find_model(path)))
    metadata = artifact.metadata
    info = SessionInfo(metadata.model, metadata.preprocess, "onnxruntime", "fp32", artifact.sha256)
    return _on_cpu(serialize(artifact.proto), info, threads, streaming)


def _on_cpu(data: bytes, info: SessionInfo, threads: int, streaming: bool, precise_int8: bool = False) -> Session:
    cores = usable_cores()
    if streaming and cores > 1:
        return fastest_engine(lambda each: OnnxRuntimeSession(data, info, threads or each, precise_int8), cores)
    return OnnxRuntimeSession(data, info, threads, precise_int8)
