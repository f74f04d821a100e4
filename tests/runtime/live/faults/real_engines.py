"""Real ONNX Runtime sessions with one weakness each; worker processes import this module too."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import cast

from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.engine_layout import SessionLayout
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.engine.session import FrameBatch, ProbabilityBatch, Session
from edgeseg.runtime.opener.engine_from_file import open_here


class Weak:
    """A session whose every inference `before` comes ahead of, and that takes at least `seconds`."""

    def __init__(self, session: Session, seconds: float = 0.0, starved: Path | None = None) -> None:
        self.info = session.info
        self._session, self._seconds, self._starved = session, seconds, starved

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        started_s = time.monotonic()
        if self._starved is not None and self._starved.exists():
            self._starved.unlink()  # the next process is spared
            resource.setrlimit(resource.RLIMIT_AS, (1, resource.RLIM_INFINITY))
            bytearray(2**28)
        probability = self._session.infer(frames)
        time.sleep(max(0.0, self._seconds - (time.monotonic() - started_s)))
        return probability

    def close(self) -> None:
        self._session.close()


def _session(path: Path) -> Session:
    return cast("Session", open_here(path, SessionLayout(threads=1)))


def open_slow(path: Path, seconds: float, frame_bytes: int) -> Engine:
    """Takes so long for each frame."""
    return engine_of(Weak(_session(path), seconds))


def open_starved(path: Path, flag: Path, frame_bytes: int) -> Engine:
    """Runs out of memory once, when the file `flag` is there."""
    return engine_of(Weak(_session(path), starved=flag))


class Noted(Weak):
    """Adds a byte to a file for each inference."""

    def __init__(self, session: Session, log: Path) -> None:
        super().__init__(session)
        self._log = log

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        with self._log.open("ab") as log:
            log.write(b".")
        return super().infer(frames)


def open_noted(path: Path, log: Path, frame_bytes: int) -> Engine:
    """Notes its inferences in `log`."""
    return engine_of(Noted(_session(path), log))
