"""From a file to the processes that a live stream runs its engine in. Nothing is loaded in this process."""

from __future__ import annotations

import functools
from pathlib import Path

from edgeseg.errors import BadInputError, MismatchError, UsageError
from edgeseg.graph.files import load_onnx
from edgeseg.packages import find_model, onnx_of
from edgeseg.runtime.engine.backends import EVERYWHERE, backend_named
from edgeseg.runtime.engine.planes import ROOM_BYTES
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.opener.in_process import open_with_room
from edgeseg.runtime.opener.loading import open_engine, open_onnx
from edgeseg.runtime.passport.passports import read_checked, session_info
from edgeseg.runtime.worker.loop import SessionFactory
from edgeseg.runtime.worker.pool import EnginePool, PoolOptions
from edgeseg.runtime.worker.restarts import RestartLimit
from edgeseg.runtime.worker.supervisor import SupervisorOptions
from edgeseg.shell import quoted

RESTARTS = RestartLimit(restarts=20, window_s=120.0, is_final=False)
"""Of each process. Past that it rests: an engine whose GPU was away for an hour comes back without a person."""
ANSWER_DEADLINE_S = 2.0
"""A frame that takes longer has hung its process; beside video nobody waits longer for a mask."""
REFERENCE_RESTARTS = RestartLimit(restarts=5, window_s=600.0)
REFERENCE_DEADLINE_S = 30.0
"""The reference gives way to everything else, so a busy machine makes it late."""
LOWEST_PRIORITY = 19
"""The niceness that leaves a process what no other wants."""


def open_pool(path: Path, active: int = 1, spares: int = 1, threads: int = 0) -> EnginePool:
    """Start the processes of an engine; the file is checked first, here.

    Args:
        path: An .engine file, an .onnx file or a model package.
        active: Processes that are given frames at a time.
        spares: Loaded processes beyond that, to take over.
        threads: Threads inside one inference on a CPU backend; 0 takes every usable core.

    Raises:
        BadInputError: Nothing that can be run beside video.
        MismatchError: An engine whose passport does not fit.
    """
    factory, info = _factory(path, threads)
    supervisor = SupervisorOptions(
        slots=1, frame_bytes=_room_bytes(info), answer_deadline_s=ANSWER_DEADLINE_S, restarts=RESTARTS
    )
    return EnginePool(factory, info, PoolOptions(active, spares, supervisor))


def open_reference(path: Path, live: SessionInfo) -> EnginePool:
    """Start the process of the reference that an engine is watched against; it gives way to all others.

    Args:
        path: An .engine file, an .onnx file or a model package.
        live: The engine that is watched.

    Raises:
        UsageError: It is the engine itself.
        MismatchError: It has other classes, or another input.
    """
    factory, info = _factory(path, threads=1)
    check_reference(live, info)
    supervisor = SupervisorOptions(
        slots=1,
        frame_bytes=_room_bytes(info),
        answer_deadline_s=REFERENCE_DEADLINE_S,
        restarts=REFERENCE_RESTARTS,
        niceness=LOWEST_PRIORITY,
    )
    return EnginePool(factory, info, PoolOptions(active=1, spares=0, supervisor=supervisor))


def check_reference(live: SessionInfo, reference: SessionInfo) -> None:
    """Refuse a reference whose masks cannot be held against the engine's, pixel by pixel on the same input.

    Raises:
        UsageError: It is the engine itself.
        MismatchError: It has other classes, or another input.
    """
    if (live.sha256, live.precision) == (reference.sha256, reference.precision):
        raise UsageError(
            "the engine is its own reference, so nothing could ever differ",
            found=f"{live.backend} {live.precision}",
            expected="--reference with the float32 model that the engine was built from",
        )
    found, expected = _seen_and_said(reference), _seen_and_said(live)
    if found != expected:
        raise MismatchError("the reference does not see or say what the engine does", found=found, expected=expected)


def _seen_and_said(info: SessionInfo) -> str:
    model, preprocess = info.model, info.preprocess
    crop = "the whole frame" if preprocess.crop is None else str(preprocess.crop)
    return (
        f"{model.output} of {', '.join(model.classes)} at {model.width}x{model.height}, "
        f"{preprocess.colour_order} {preprocess.resize}, {crop}"
    )


def _factory(path: Path, threads: int) -> tuple[SessionFactory, SessionInfo]:
    kind = find_model(path).kind
    if kind == "run":
        raise BadInputError(
            "a RUN folder does not run beside live video",
            found=path,
            expected="an engine, an .onnx file or a model package",
            next_command=f"edgeseg export {quoted(path)} --out model.onnx",
        )
    if kind != "engine":
        metadata = load_onnx(onnx_of(find_model(path)))
        info = SessionInfo(metadata.metadata.model, metadata.metadata.preprocess, EVERYWHERE, "fp32", metadata.sha256)
        return functools.partial(open_onnx, path, threads), info
    _, passport = read_checked(path)
    info = session_info(passport)
    if backend_named(passport.backend).device == "cpu":
        return functools.partial(open_engine, path, threads), info
    return functools.partial(open_with_room, path, _room_bytes(info)), info


def _room_bytes(info: SessionInfo) -> int:
    """For one frame: whole planes up to 4K, or the network's input. A larger picture is prepared on the host."""
    prepared_bytes = 3 * info.model.height * info.model.width
    return max(ROOM_BYTES, prepared_bytes) if info.takes_planes else prepared_bytes
