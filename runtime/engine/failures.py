"""The failures of an engine by what they mean for its process; a backend derives its errors from these."""

from __future__ import annotations

from edgeseg.errors import EdgesegError

LOST_EXIT_CODE = 77
"""The exit code of a worker that a `ProcessLostError` has ended."""
FAILED_EXIT_CODE = 78
"""The exit code of a worker that any other failure has ended."""


class TransientError(EdgesegError):
    """Something was refused that may be granted the next time, or to a new process."""

    exit_code = 4


class EngineDownError(EdgesegError):
    """An engine's process cannot be kept up; why is not known."""

    exit_code = 4


class InferenceFailedError(TransientError):
    """The library that computes the frames raised an error of its own: the engine is damaged, or memory is full.

    Args:
        backend: Its name.
        error: What it raised.
    """

    def __init__(self, backend: str, error: Exception) -> None:
        super().__init__(
            f"{backend} failed while it computed a frame",
            found=f"{type(error).__name__}: {error}"[:300],
            expected="an engine that is whole, and memory for its frames",
            next_command="edgeseg build-engine MODEL --out NAME.engine",
        )


class ProcessLostError(TransientError):
    """The device will do nothing for this process any more; only a new process helps."""
