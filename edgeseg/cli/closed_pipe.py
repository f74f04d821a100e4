"""Output whose reader has gone (`edgeseg inspect FILE | head -1`): no failure, and no words about it."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import traceback
from typing import TextIO

CLOSED_PIPE = 141
"""128 + SIGPIPE's number, as shells have it."""


def has_no_reader(stream: TextIO | None) -> bool:
    """Tell whether a stream is a pipe or socket that nobody reads any more."""
    try:
        descriptor = -1 if stream is None else stream.fileno()
    except (OSError, ValueError):
        return False
    if descriptor < 0:
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return any(found & select.POLLERR for _, found in poll.poll(0))


def is_of_output(left: SystemExit) -> bool:
    """Tell whether a library ended the program because our output has no reader, not for another broken pipe."""
    by_rich = traceback.extract_tb(left.__traceback__)[-1].name == "on_broken_pipe"  # it replaces stdout first
    return by_rich or has_no_reader(sys.__stdout__) or has_no_reader(sys.__stderr__)


def flush_output(code: int) -> int:
    """Write what is still in the buffers, or throw it away where a stream has no reader.

    Args:
        code: The exit code.

    Returns:
        The exit code, which is `CLOSED_PIPE` where nobody reads the answer.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            code = CLOSED_PIPE if stream is sys.stdout else code
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return code
