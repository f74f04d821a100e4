"""The worker process: it alone loads the engine and touches the GPU; frames come through shared memory.

It ends when the parent says so or is gone, with `LOST_EXIT_CODE` when only a new process helps, and with
`FAILED_EXIT_CODE` on any other failure that is not one frame's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

import numpy as np

from edgeseg.errors import EdgesegError
from edgeseg.runtime.engine.failures import FAILED_EXIT_CODE, LOST_EXIT_CODE, ProcessLostError, TransientError
from edgeseg.runtime.engine.frame_session import FrameSession, HostFrames
from edgeseg.runtime.engine.inputs import put_together
from edgeseg.runtime.engine.session import Session
from edgeseg.runtime.worker.messages import Answered, Failed, Ready, Refused, Stop, Submitted
from edgeseg.runtime.worker.ring import FrameRing, RingLayout

SessionFactory = Callable[[], Session]
"""Opens the session inside the worker. It is pickled: a function of a module, its arguments small (a path)."""
DIE_FIRST = 500
"""Added to the score by which the kernel chooses whom to kill: half of all memory."""


def run_worker(factory: SessionFactory, ring_name: str, layout: RingLayout, connection: Connection) -> None:
    """Open a session and answer frames until the parent ends it; the target of the spawned process.

    Args:
        factory: Opens the session.
        ring_name: The shared memory.
        layout: Its division.
        connection: To the parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's: it then closes the connection
    _die_first()
    try:
        ring = FrameRing.attach(ring_name, layout)
    except FileNotFoundError:  # the parent ended while this process was starting, and took the memory with it
        return
    try:
        session = factory()
        with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone
            _Worker(session, ring, connection).run()
        session.close()
    except BaseException as error:
        _end(error, connection)
    ring.close()


def _die_first(path: Path = Path("/proc/self/oom_score_adj")) -> None:
    """Ask Linux to kill this process, and not the one that shows the picture, where memory runs out (proc(5))."""
    with contextlib.suppress(OSError, ValueError):
        path.write_text(str(min(1000, int(path.read_text()) + DIE_FIRST)))


class _Worker:
    def __init__(self, session: Session, ring: FrameRing, connection: Connection) -> None:
        self._info = session.info
        if not isinstance(session, FrameSession):  # those that keep frames on a GPU are warm when they are open
            model = session.info.model
            session.infer(np.zeros((1, model.height, model.width, 3), np.uint8))  # a spare's first frame may not wait
        self._frames: FrameSession = session if isinstance(session, FrameSession) else HostFrames(session)
        self._ring = ring
        self._connection = connection
        self._under_way: deque[tuple[Submitted, int]] = deque()

    def run(self) -> None:
        self._frames.pin(self._ring.frames())
        self._connection.send(Ready(self._info, self._frames.device_name))
        while True:
            while self._must_answer():
                self._answer()
            message = self._connection.recv()
            if isinstance(message, Stop):
                break
            self._submit(message)
        while self._under_way:
            self._answer()

    def _must_answer(self) -> bool:
        """Another frame is taken first where one waits and a lane is free."""
        if not self._under_way:
            return False
        return len(self._under_way) >= self._frames.lanes or not self._connection.poll(0)

    def _submit(self, message: Submitted) -> None:
        started_ns = time.monotonic_ns()
        try:
            frame = put_together(self._ring.frame(message.slot, message.shape), message.form)
            self._frames.submit(frame)
        except EdgesegError as error:
            self._refuse(message, error)
        else:
            self._under_way.append((message, started_ns))

    def _answer(self) -> None:
        message, started_ns = self._under_way.popleft()
        try:
            probability = self._frames.result()
        except EdgesegError as error:
            self._refuse(message, error)
        else:
            self._ring.write_result(message.slot, message.sequence, probability)
            self._connection.send(Answered(message.sequence, time.monotonic_ns() - started_ns))

    def _refuse(self, message: Submitted, error: EdgesegError) -> None:
        if isinstance(error, ProcessLostError):
            raise error
        self._connection.send(Refused(message.sequence, error))


def _end(error: BaseException, connection: Connection) -> NoReturn:
    """Say why and leave without clean-up: a lost device answers every clean-up with another error."""
    if isinstance(error, EdgesegError):
        failed = Failed(error, again=isinstance(error, TransientError))
    else:
        what = "the engine's process failed"
        failed = Failed(EdgesegError(what, found=f"{type(error).__name__}: {error}"[:500]), again=True)
    with contextlib.suppress(OSError):  # the parent is gone; nobody needs to know
        connection.send(failed)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(LOST_EXIT_CODE if isinstance(error, ProcessLostError) else FAILED_EXIT_CODE)
