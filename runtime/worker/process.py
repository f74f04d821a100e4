"""The parent's hold on one worker process: nothing here waits longer than it is told to."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from multiprocessing import connection
from typing import Any

from edgeseg.runtime.worker.messages import Stop
from edgeseg.runtime.worker.ring import FrameRing
from edgeseg.runtime.worker.worker_loop import EngineFactory, run_worker

_MESSAGES_AT_ONCE = 64
_STOP_PATIENCE_S = 3.0


class WorkerProcess:
    """A worker from its start to its burial. It is spawned: a fork would copy the parent's threads and locks.

    Args:
        factory: Opens its engine.
        ring: The shared memory, which stays the parent's.
        niceness: 0 to 19; set before the worker has a second thread, so that all its threads have it.
    """

    def __init__(self, factory: EngineFactory, ring: FrameRing, niceness: int = 0) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=run_worker,
            args=(factory, ring.name, ring.layout, theirs),
            name="edgeseg-engine",
            daemon=True,
        )
        self._process.start()
        if niceness and self._process.pid is not None:
            with contextlib.suppress(ProcessLookupError):  # it is dead already, and will be buried
                os.setpriority(os.PRIO_PROCESS, self._process.pid, niceness)
        theirs.close()  # its only holder is to be the worker, whose death then ends the connection
        self.broken = False
        """True if the worker has ended or talks nonsense; no message will come any more."""

    @property
    def pid(self) -> int | None:
        """The process id."""
        return self._process.pid

    def send(self, message: object) -> None:
        """Say something; a worker that cannot hear is `broken`. A few short messages never fill the pipe."""
        try:
            self._connection.send(message)
        except OSError:
            self.broken = True

    def receive(self, timeout_s: float) -> list[object]:
        """Receive what the worker has said, after waiting at most so long for the first message or for its end."""
        if self.broken:
            self._process.join(timeout_s)
            return []
        connection.wait([self._connection, self._process.sentinel], timeout_s)
        ended = not self._process.is_alive()
        messages: list[object] = []
        try:
            while len(messages) < _MESSAGES_AT_ONCE and self._connection.poll(0):
                messages.append(self._connection.recv())
        except Exception:  # the end of the connection, or bytes that are no message of ours
            self.broken = True
        self.broken |= ended and not messages
        return messages

    def waitables(self) -> list[Any]:
        """The handles that `receive` waits for."""
        return [self._process.sentinel] if self.broken else [self._connection, self._process.sentinel]

    def kill(self) -> None:
        """End the worker at once, whatever it does."""
        self.broken = True
        self._process.kill()

    def reap(self) -> int | None:
        """The exit code, or None while the process exists. A process inside a stuck driver call may take its time."""
        code = self._process.exitcode
        if code is not None:
            self._connection.close()
        return code

    def stop(self) -> None:
        """Ask it to end, and end it where it does not."""
        if not self.broken:
            self.send(Stop())
            self._process.join(_STOP_PATIENCE_S)
        self._process.kill()
        self._process.join(_STOP_PATIENCE_S)
        self._connection.close()
