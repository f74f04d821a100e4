"""Sessions that mark so many columns of eight: what two of them share can be counted by hand. For workers too."""

from __future__ import annotations

import os
import signal
import time

import numpy as np

from edgeseg.errors import MissingComponentError
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.engine.session import FrameBatch, ProbabilityBatch, SessionInfo
from edgeseg.specs import ModelSpec, PreprocessSpec

SIZE = 8
HANG, DIE = 200, 201
"""Orders beyond the columns; see `open_faulty`."""


def info(sha256: str) -> SessionInfo:
    model = ModelSpec(architecture="scripted", height=SIZE, width=SIZE)
    return SessionInfo(model, PreprocessSpec(), "scripted", "int8" if sha256[0] == "1" else "fp32", sha256)


TOLD, BAND = info("1" * 64), info("2" * 64)


class Columns:
    """Marks the first `columns` columns; None marks as many as the frame says in its third channel."""

    def __init__(self, columns: int | None, what: SessionInfo, faults: bool = False) -> None:
        self.info, self._columns, self._faults = what, columns, faults

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        order = int(frames[0, 0, 0, 2])
        if self._faults and order == HANG:
            time.sleep(3600)
        if self._faults and order == DIE:
            os.kill(os.getpid(), signal.SIGKILL)
        marked = np.zeros((1, 1, SIZE, SIZE), np.float32)
        marked[..., : order % 100 if self._columns is None else self._columns] = 1
        return marked

    def close(self) -> None:
        pass


def open_told(frame_bytes: int) -> Engine:
    return engine_of(Columns(None, TOLD))


def open_band(columns: int, frame_bytes: int) -> Engine:
    return engine_of(Columns(columns, BAND))


def open_faulty(columns: int, frame_bytes: int) -> Engine:
    """As `open_band`, but it hangs and dies as frames say."""
    return engine_of(Columns(columns, BAND, faults=True))


def open_never(columns: int, frame_bytes: int) -> Engine:
    raise MissingComponentError("there is no such GPU")
