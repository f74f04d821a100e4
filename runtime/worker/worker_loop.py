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
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

import numpy as np

from edgeseg.errors import EdgesegError
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.failures import FAILED_EXIT_CODE, LOST_EXIT_CODE, ProcessLostError, TransientError
from edgeseg.runtime.engine.inputs import NetworkInput, put_together
from edgeseg.runtime.engine.one_frame import outcome_of
from edgeseg.runtime.engine.outcomes import Segmented
from edgeseg.runtime.worker.messages import Answered, Failed, Ready, Refused, Stop, Submitted
from edgeseg.runtime.worker.ring import FrameRing, RingLayout

EngineFactory = Callable[[], Engine]
"""Opens the engine inside the worker. It is pickled: a function of a module, its arguments small (a path)."""
DIE_FIRST = 500
"""Added to the score by which the kernel chooses whom to kill: half of all memory."""
_POLL_S = 1.0


def run_worker(factory: EngineFactory, ring_name: str, layout: RingLayout, connection: Connection) -> None:
    """Open an engine and answer frames until the parent ends it; the target of the spawned process.

    Args:
        factory: Opens the engine.
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
        engine = factory()
        with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone
            _Worker(engine, ring, connection).run()
        engine.close()
    except BaseException as error:
        _end(error, connection)
    ring.close()


def _die_first(path: Path = Path("/proc/self/oom_score_adj")) -> None:
    """Ask Linux to kill this process, and not the one that shows the picture, where memory runs out (proc(5))."""
    with contextlib.suppress(OSError, ValueError):
        path.write_text(str(min(1000, int(path.read_text()) + DIE_FIRST)))


class _Worker:
    def __init__(self, engine: Engine, ring: FrameRing, connection: Connection) -> None:
        self._engine = engine
        self._ring = ring
        self._connection = connection
        self._under_way: dict[int, tuple[Submitted, int]] = {}

    def run(self) -> None:
        engine = self._engine
        pinned = engine.pin(self._ring.frames())
        if engine.device_name is None:  # a GPU's engine is warm when it is open; a spare's first frame may not wait
            model = engine.info.model
            outcome_of(engine, NetworkInput(np.zeros((model.height, model.width, 3), np.uint8)))
        self._connection.send(Ready(engine.info, engine.device_name, pinned))
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
        """Another frame is taken first where one waits and the engine has room."""
        if not self._under_way:
            return False
        return len(self._under_way) >= self._engine.capacity or not self._connection.poll(0)

    def _submit(self, message: Submitted) -> None:
        started_ns = time.monotonic_ns()
        try:
            frame = put_together(self._ring.frame(message.slot, message.shape), message.form)
            number = self._engine.submit(frame)
        except EdgesegError as error:
            if isinstance(error, ProcessLostError):
                raise
            self._connection.send(Refused(message.sequence, error))
        else:
            assert number is not None, "there is room: see _must_answer"
            self._under_way[number] = message, started_ns

    def _answer(self) -> None:
        for outcome in self._engine.poll(_POLL_S):
            message, started_ns = self._under_way.pop(outcome.sequence)
            if isinstance(outcome, Segmented):
                self._ring.write_result(message.slot, message.sequence, outcome.probability)
                took_ns = time.monotonic_ns() - started_ns
                self._connection.send(Answered(message.sequence, took_ns, outcome.stages_ns))
            else:
                error = outcome.error or EdgesegError("the engine lost this frame", found=outcome.reason)
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
