"""What every engine looks like once it is open: frames in, outcomes out, wherever it runs."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgeseg.runtime.engine.inputs import EngineInput
from edgeseg.runtime.engine.outcomes import Outcome
from edgeseg.runtime.engine.session import SessionInfo


@runtime_checkable
class Engine(Protocol):
    """Takes frames and tells later what came of each. For one thread.

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
        """How often a process of the engine had to be started again."""
        ...

    @property
    def device_name(self) -> str | None:
        """The GPU that it runs on; None on the host's processor."""
        ...

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until frames are taken.

        Raises:
            EdgesegError: They never will be, or not in time.
        """
        ...

    def pin(self, memory: NDArray[np.uint8]) -> bool:
        """Prepare memory that frames will lie in, for as long as the engine lives.

        Returns:
            Whether a GPU now reads frames from page-locked memory, without one more copy on the host.
        """
        ...

    def submit(self, frame: EngineInput) -> int | None:
        """Hand a frame over; it must stay as it is until its outcome is there.

        Args:
            frame: Planes only where `info` says that they are taken.

        Returns:
            Its sequence number; None where it cannot be taken now.

        Raises:
            BadInputError: It can never be taken. (What is found out later is a `Lost` with that error.)
        """
        ...

    def poll(self, timeout_s: float = 0.0) -> list[Outcome]:
        """Take what has come of frames since the last call, each frame once.

        Args:
            timeout_s: The longest wait where nothing has, but a frame is under way. An engine of one session or lane
                waits for its oldest frame, whatever this says.
        """
        ...

    def close(self) -> None:
        """Give back what it holds; closing twice is fine."""
        ...
