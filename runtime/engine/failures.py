"""What a failure means for the process that it happened in: a backend derives its errors from these."""

from __future__ import annotations

from edgeseg.errors import EdgesegError

LOST_EXIT_CODE = 77
"""Exit code of a worker that a `ProcessLostError` has ended."""
FAILED_EXIT_CODE = 78
"""Exit code of a worker that any other failure has ended."""


class TransientError(EdgesegError):
    """What was refused may be granted the next time, or to a new process."""

    exit_code = 4


class EngineDownError(EdgesegError):
    """An engine's process cannot be kept up; why is not known."""

    exit_code = 4


class ProcessLostError(TransientError):
    """Nothing of the kind will work in this process any more; only a new one helps."""
