"""The interface of every open engine: frames go in, outcomes come out, wherever it runs."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgeseg.runtime.engine.inputs import EngineInput
from edgeseg.runtime.engine.outcomes import Outcome
from edgeseg.runtime.engine.session import SessionInfo


@runtime_checkable
class Engine(Protocol):
    """An open engine: it takes frames and says later what came of each. One thread uses it.

    There are three: `LocalEngine` (sessions of this process), `WorkerEngine` (supervised processes) and `CudaEngine`
    (lanes of a GPU).
    """

    @property
    def info(self) -> SessionInfo:
        """The network, and where it runs."""
        ...

    @property
    def capacity(self) -> int:
        """Frames that may be under way at once."""
        ...

    @property
    def restarts(self) -> int:
        """The number of times that a process of the engine was started again."""
        ...

    @property
    def device_name(self) -> str | None:
        """The GPU that it runs on; None on the host's processor."""
        ...

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until frames are taken.

        Raises:
            EdgesegError: No frame ever will be, or none in time.
        """
        ...

    def pin(self, memory: NDArray[np.uint8]) -> bool:
        """Prepare memory that frames will lie in, for as long as the engine lives.

        Returns:
            True if a GPU now reads frames from page-locked memory, without one more copy on the host.
        """
        ...

    def submit(self, frame: EngineInput) -> int | None:
        """Hand a frame over; nobody may change it until its outcome is there.

        Args:
            frame: A frame; planes only where `info` says that the engine takes them.

        Returns:
            Its sequence number; None where it cannot be taken now.

        Raises:
            BadInputError: The engine can never take it. (Where that shows later, a `Lost` has the error.)
        """
        ...

    def poll(self, timeout_s: float = 0.0) -> list[Outcome]:
        """Take the outcomes since the last call, each frame once.

        Args:
            timeout_s: The longest wait while frames are under way and none has an outcome. An engine of one
                session or lane waits for its oldest frame, whatever this says.
        """
        ...

    def close(self) -> None:
        """Give back what it holds; closing twice is fine."""
        ...
