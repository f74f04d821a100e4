"""How far TensorRT has come with a build, by its IProgressMonitor, in lines for a person."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from edgeseg.progress import Say
from edgeseg.runtime.cuda.tensorrt_module import TensorRtModule

if TYPE_CHECKING:
    import tensorrt

SECONDS_BETWEEN_LINES = 2.0


class BuildProgress:
    """Turns phases and steps, which come from several threads, into few lines; an exception stops the build.

    Args:
        title: Who builds.
        say: Takes the lines.
        clock: Seconds.
    """

    def __init__(self, title: str, say: Say, clock: Callable[[], float] = time.monotonic) -> None:
        self.title = title
        self.error: BaseException | None = None
        """The exception that `say` raised, or Ctrl-C: the build was told to stop and the caller raises it again."""
        self._say, self._clock = say, clock
        self._lock = threading.Lock()
        self._steps: dict[str, int] = {}
        self._told = clock()

    def start(self, phase: str, parent: str | None, steps: int) -> None:
        """A phase begins; an outermost one is told at once."""
        with self._lock:
            self._steps[phase] = steps
        if not parent:
            self._tell(f"{self.title}: {phase}")

    def step(self, phase: str, step: int) -> bool:
        """A step is done; False stops the build."""
        with self._lock:
            due = self._clock() - self._told >= SECONDS_BETWEEN_LINES
            total = self._steps.get(phase)
        if due:
            self._tell(f"{self.title}: {phase}, {step + 1} of {total or '?'}")
        return self.error is None

    def finish(self, phase: str) -> None:
        """A phase is over."""
        with self._lock:
            self._steps.pop(phase, None)

    def _tell(self, line: str) -> None:
        self._told = self._clock()
        try:
            self._say(line)
        except BaseException as error:  # must not run through TensorRT's C++ frames
            self.error = error


def monitor(trt: TensorRtModule, progress: BuildProgress) -> tensorrt.IProgressMonitor:
    """The progress as the IProgressMonitor of a TensorRT module."""
    if TYPE_CHECKING:
        from tensorrt import IProgressMonitor
    else:
        IProgressMonitor = trt.IProgressMonitor  # noqa: N806

    class Monitor(IProgressMonitor):  # type: ignore[misc]
        """Hands TensorRT's calls on."""

        def __init__(self) -> None:
            IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            progress.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return progress.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            progress.finish(phase_name)

    return Monitor()
