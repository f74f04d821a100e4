"""A session that does what a frame tells it to: its module is imported by worker processes too."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np

from edgeseg.errors import EdgesegError, MissingComponentError
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.failures import ProcessLostError, TransientError
from edgeseg.runtime.engine.local_engine import LocalEngine, engine_of
from edgeseg.runtime.engine.session import FrameBatch, ProbabilityBatch, SessionInfo
from edgeseg.specs import ModelSpec, PreprocessSpec

SIZE = 8
ANSWER, REFUSE, LOST, CRASH, HANG, DIE, NONSENSE, SLOW = range(8)
SLOW_S = 0.3


def info() -> SessionInfo:
    model = ModelSpec(architecture="scripted", height=SIZE, width=SIZE)
    return SessionInfo(model, PreprocessSpec(), "scripted", "fp32", "0" * 64)


def frame_of(number: int, order: int = ANSWER, height: int = SIZE, width: int = SIZE) -> FrameBatch:
    """A frame that carries its number and what is to be done."""
    frame = np.empty((height, width, 3), np.uint8)
    frame[...] = (number % 256, number // 256, order)
    return frame


class ScriptedSession:
    """Its probability is the frame's number / 65536, everywhere."""

    info = info()

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        low, high, order = (int(value) for value in frames[0, 0, 0])
        if order == REFUSE:
            raise TransientError("refused as told")
        if order == LOST:
            raise ProcessLostError("lost as told")
        if order == CRASH:
            raise RuntimeError("crashed as told")
        if order == HANG:
            time.sleep(3600)
        if order == DIE:
            os.kill(os.getpid(), signal.SIGKILL)
        if order == NONSENSE:
            return np.zeros((1, 2, 3, 4), np.float32)
        if order == SLOW:
            time.sleep(SLOW_S)
        return np.full((1, 1, SIZE, SIZE), (low + 256 * high) / 65536, np.float32)

    def close(self) -> None:
        pass


def open_scripted(frame_bytes: int = 0) -> Engine:
    """As a worker opens it: with room for frames of so many bytes."""
    return LocalEngine(ScriptedSession)


def open_other(frame_bytes: int = 0) -> Engine:
    session = ScriptedSession()
    session.info = SessionInfo(session.info.model, session.info.preprocess, "scripted", "fp32", "1" * 64)
    return engine_of(session)


def open_never(frame_bytes: int = 0) -> Engine:
    raise MissingComponentError("there is no such GPU", next_command="buy one")


def open_full(log: Path) -> Engine:
    with log.open("a") as file:
        file.write("try\n")
    raise TransientError("the GPU is full")


def open_full_at_first(log: Path) -> Engine:
    """Fails until its log has two lines."""
    tries = log.read_text().count("\n") if log.exists() else 0
    return open_scripted() if tries >= 2 else open_full(log)


def open_hanging() -> Engine:
    time.sleep(3600)
    raise EdgesegError("unreachable")
