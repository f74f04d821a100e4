"""The one way from a file to an engine, whatever it is opened for."""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeseg.archive_members import archive_of
from edgeseg.artifacts import EngineArtifact
from edgeseg.errors import BadInputError, EdgesegError
from edgeseg.optional import require
from edgeseg.packages import ModelFiles, find_model, onnx_of
from edgeseg.runtime.engine.backends import EVERYWHERE, backend_named
from edgeseg.runtime.engine.cpu_layout import fastest_engine
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.engine_layout import Opener, SessionLayout
from edgeseg.runtime.engine.failures import ProcessLostError, TransientError
from edgeseg.runtime.engine.local_engine import LocalEngine, engine_of
from edgeseg.runtime.engine.machine import usable_cores
from edgeseg.runtime.engine.planes import ROOM_BYTES
from edgeseg.runtime.engine.session import Session, SessionInfo
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession
from edgeseg.runtime.opener.use import LANES_IN_A_ROW, PROOF, Use
from edgeseg.runtime.passport.bindings import check_binding, read_machine
from edgeseg.runtime.passport.passports import read_checked, session_info
from edgeseg.runtime.worker.worker_engine import WorkerEngine
from edgeseg.shell import quoted
from edgeseg.signing.envelopes import SignatureError
from edgeseg.signing.key_files import PublicKey
from edgeseg.signing.signatures import check_signed_archive

RUN_OPENER = "edgeseg.train.predictor", "open_run"
"""The function that opens a RUN folder. It needs torch, which no edge box has, so it is imported late."""
OpenHere = Callable[[SessionLayout], Session | Engine]
_KINDS = {"run": "a RUN folder", "onnx": "an ONNX file", "package": "a model package"}


def open_engine(path: Path, use: Use = PROOF, *, trusted: Sequence[str] = ()) -> Engine:
    """Open an engine once its passport has been checked: a CPU's here, a GPU's in a supervised process.

    This process never initialises CUDA; what the engine is bound to is checked where it will run.
    The process is spawned, so a script that calls this for a GPU's engine needs `if __name__ == "__main__":`.

    Args:
        path: NAME.engine, with NAME.engine.json beside it; or a model that runs in float32: an .onnx file, a
            model package, or a RUN folder (which needs torch).
        use: The use that it is opened for.
        trusted: Code that a RUN's network may be; see `edgeseg.train.predictor.open_run`.

    Raises:
        BadInputError: The path is none of these, the backend is not here, or a RUN's code is not trusted.
        MismatchError: The passport is missing or does not fit, the engine is bound to another machine, or not signed
            by the key that the use demands.
        MissingComponentError: This machine cannot execute it.
        TransientError: The GPU has no memory for it.
    """
    files = find_model(path)
    if files.kind == "run" and not use.apart and use.signed_by is None:
        require("torch")
        module, name = RUN_OPENER
        session: Session = getattr(importlib.import_module(module), name)(path, trusted)
        return LocalEngine(lambda: session)
    model = _model_of(path, files, use.signed_by)
    if not (use.apart or model.on_gpu):
        return _on_cpu(model.opener(), use)
    workers = _workers(path, model, use)
    try:
        workers.wait_ready(use.start_s)
    except BaseException:
        workers.close()
        raise
    return workers


def start_workers(path: Path, use: Use) -> WorkerEngine:
    """Start the processes of an engine and return at once; the file is checked first, here.

    Args:
        path: NAME.engine, an .onnx file or a model package.
        use: The use that they are started for.

    Raises:
        BadInputError: The path is nothing that runs in a process of its own.
        MismatchError: The engine's passport is missing or does not fit, or the use demands another signature.
    """
    return _workers(path, _model_of(path, find_model(path), use.signed_by), use)


def open_here(path: Path, layout: SessionLayout, signed_by: PublicKey | None = None) -> Session | Engine:
    """Open an engine in this process once its passport has been checked. A GPU's initialises CUDA here.

    Args:
        path: NAME.engine with its passport, an .onnx file or a model package.
        layout: The layout to open it in.
        signed_by: The key that must have signed it; None demands no signature.

    Raises:
        BadInputError: There is no such engine, or its backend is not here.
        MismatchError: The passport is missing or does not fit, the engine is bound to another machine, or not signed
            by the key.
        MissingComponentError: This machine cannot execute engines of that backend.
        TransientError: The GPU has too little memory.
    """
    return _model_of(path, find_model(path), signed_by).opener()(layout)


def open_in_worker(
    path: Path, layout: SessionLayout, or_fewer_lanes: bool, frame_bytes: int, signed_by: PublicKey | None = None
) -> Engine:
    """Open an engine inside a worker process, which is given this function.

    The process checks what it reads itself, signature included: the file may have changed since it was started.

    Args:
        path: See `open_here`.
        layout: The layout to open it in.
        or_fewer_lanes: Take one lane where the GPU's memory has no room for more.
        frame_bytes: Room for the largest frame.
        signed_by: See `open_here`.
    """
    layout = replace(layout, frame_bytes=frame_bytes)
    try:
        return engine_of(open_here(path, layout, signed_by))
    except ProcessLostError:
        raise
    except TransientError as error:
        if layout.lanes == 1 or not or_fewer_lanes:
            raise
        logging.getLogger(__name__).warning("%s: one lane instead of %s: %s", path, layout.lanes, error)
    return engine_of(open_here(path, replace(layout, lanes=1), signed_by))


@dataclass(frozen=True)
class _Model:
    info: SessionInfo
    on_gpu: bool
    opener: Callable[[], OpenHere]
    """A function that checks the model against this machine and gives what opens it."""


def _model_of(path: Path, files: ModelFiles, signed_by: PublicKey | None) -> _Model:
    archive = None if files.onnx is None else archive_of(files.onnx)
    if signed_by is not None and files.kind != "engine" and archive is None:
        raise SignatureError(
            f"{path} carries no signature, and one is demanded",
            found=_KINDS[files.kind],
            expected=f"an engine or a model package in one file (NAME.edgeseg), signed by key {signed_by.key_id}",
            next_command=f"edgeseg build-engine {quoted(path)} --precision fp32, and edgeseg sign its passport",
        )
    if files.kind == "run":
        raise BadInputError(
            "a RUN folder cannot run in a process of its own",
            found=path,
            expected="an engine, an .onnx file or a model package",
            next_command=f"edgeseg export {quoted(path)} --out model.onnx",
        )
    if files.kind == "engine":
        data, passport = read_checked(path, signed_by)
        on_gpu = backend_named(passport.backend).device == "gpu"
        return _Model(session_info(passport), on_gpu, functools.partial(_checked_opener, path, data, passport))
    from edgeseg.graph.onnx_files import load_onnx, serialize  # the workers of a GPU never need onnx

    checked = None if signed_by is None or archive is None else check_signed_archive(archive, signed_by)
    artifact = load_onnx(onnx_of(files))
    if checked is not None and artifact.sha256 != checked.manifest.onnx_sha256:
        raise SignatureError(
            f"{archive} was exchanged while it was read", found=artifact.sha256, expected=checked.manifest.onnx_sha256
        )
    metadata = artifact.metadata
    info = SessionInfo(metadata.model, metadata.preprocess, EVERYWHERE, "fp32", artifact.sha256)
    data = serialize(artifact.proto)
    return _Model(info, False, lambda: lambda layout: OnnxRuntimeSession(data, info, layout.threads))


def _checked_opener(path: Path, data: bytes, passport: EngineArtifact) -> OpenHere:
    opener: Opener = backend_named(passport.backend).load("opener")
    for warning in check_binding(passport, read_machine(passport.backend)):
        logging.getLogger(__name__).warning("%s: %s", path, warning)
    return functools.partial(opener, data, passport)


def _on_cpu(open_session: Callable[[SessionLayout], Session | Engine], use: Use) -> Engine:
    """Open sessions side by side, with `use.threads` threads each or as many as are fastest."""

    def opened(threads: int) -> Session:
        session = open_session(SessionLayout(threads=threads))
        if isinstance(session, Engine):
            raise EdgesegError(
                "a backend of the CPU has opened an engine",
                found=type(session).__name__,
                expected="a session: see edgeseg.runtime.engine.engine_layout.Opener",
            )
        return session

    cores = usable_cores()
    if use.at_once is None and cores > 1:
        return fastest_engine(lambda each: opened(use.threads or each), cores)
    return LocalEngine(lambda: opened(use.threads), use.at_once or 1)


def _workers(path: Path, model: _Model, use: Use) -> WorkerEngine:
    layout = SessionLayout(use.threads, use.at_once or LANES_IN_A_ROW, stage_times=use.stage_times)
    options = use.workers
    if not options.grows:
        supervisor = replace(options.supervisor, frame_bytes=_room_bytes(model.info))
        options = replace(options, supervisor=supervisor)
    opener = functools.partial(open_in_worker, path, layout, use.at_once is None, signed_by=use.signed_by)
    return WorkerEngine(opener, model.info, options)


def _room_bytes(info: SessionInfo) -> int:
    """Compute the room for a frame: planes up to 4K, or the network's input; larger ones are resized here."""
    prepared_bytes = 3 * info.model.height * info.model.width
    return max(ROOM_BYTES, prepared_bytes) if info.takes_planes else prepared_bytes
