"""Opens an engine beside the one that is shown, and proves that it can take its place."""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing import connection
from pathlib import Path

from edgeseg.frames import Frame
from edgeseg.progress import Say
from edgeseg.runtime.engine.failures import EngineDownError
from edgeseg.runtime.engine.inputs import NetworkInput
from edgeseg.runtime.engine.outcomes import Segmented
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.live.preflight import READY_S
from edgeseg.runtime.opener.engine_from_file import start_workers
from edgeseg.runtime.opener.use import Use
from edgeseg.runtime.worker.worker_engine import WorkerEngine

PROOFS = 3
"""Answers of an engine before it takes over; the first is slower than those that follow."""
_STEP_S = 0.05


def open_beside(path: Path, use: Use, check: Callable[[SessionInfo], None], word: str, say: Say) -> WorkerEngine:
    """Open an engine beside the one that is shown, and wait until it is ready.

    Args:
        path: An engine, an .onnx file or a package.
        use: How it is opened.
        check: Raises where it does not fit the one that is shown.
        word: What it is, for the person.
        say: Called with a line for the person at the terminal.

    Raises:
        EdgesegError: It does not fit, or does not come up.
    """
    started_s = time.monotonic()
    engine = start_workers(path, use)
    try:
        check(engine.info)
        engine.wait_ready(READY_S)
    except BaseException:
        engine.close()
        raise
    say(f"{word} ready after {time.monotonic() - started_s:.1f} s: {name_of(engine.info)}")
    return engine


def prove(engine: WorkerEngine, frame: Frame, is_ending: Callable[[], bool]) -> float:
    """See an engine answer.

    Args:
        engine: The engine, ready or not.
        frame: What it is asked, uint8 [h,w,3] RGB at the network's size.
        is_ending: Says when nobody waits for it any more.

    Returns:
        What its last answer took, in milliseconds.

    Raises:
        EdgesegError: It did not come up, or not in time.
    """
    until_s, answers = time.monotonic() + READY_S, 0
    while not is_ending() and not engine.is_down and time.monotonic() < until_s:
        connection.wait(engine.waitables(), _STEP_S)
        for outcome in engine.poll():
            answers += isinstance(outcome, Segmented)
            if isinstance(outcome, Segmented) and answers >= PROOFS:
                return outcome.infer_ms
        if engine.is_ready and not engine.under_way:
            engine.submit(NetworkInput(frame))
    raise engine.failure or EngineDownError("it did not come up in time")


def contract_of(info: SessionInfo) -> str:
    """Say in words what an engine sees and says: two with the same can be held against each other pixel by pixel."""
    model, preprocess = info.model, info.preprocess
    crop = "the whole frame" if preprocess.crop is None else str(preprocess.crop)
    return (
        f"{model.output} of {', '.join(model.classes)} at {model.width}x{model.height}, "
        f"{preprocess.colour_order} {preprocess.resize}, {crop}"
    )


def name_of(info: SessionInfo) -> str:
    """An engine in two words, for a person."""
    return f"{info.backend} {info.precision}"
