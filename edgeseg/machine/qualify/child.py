"""Work in a process of its own: what crashes there ends one step of one engine, and its memory goes with it.

Builders of TensorRT and a bench on a GPU initialise CUDA, too, which the process that supervises an engine's worker
must not.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from edgeseg.errors import EdgesegError


class ChildFailedError(EdgesegError):
    """A child process refused, or died."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(
            error["what"], found=error.get("found"), expected=error.get("expected"), next_command=error.get("next")
        )
        self.exit_code = int(error.get("exit_code") or 1)


def ask_child(module: str, *arguments: str, role: str) -> str:
    """Run a module whose last lines are those of `answer_parent`.

    Args:
        module: Run as ``python -m``.
        arguments: Its own.
        role: What it is, for the message when it dies: ``the builder``.

    Returns:
        What it printed.

    Raises:
        ChildFailedError: It refused with an EdgesegError of its own, or it died.
    """
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    if done.returncode == 0:
        return done.stdout
    try:
        error = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = " ".join(done.stderr.strip().splitlines()[-1:])
        error = {"what": f"{role}'s process died", "found": f"exit code {done.returncode}: {last[:300]}"}
    raise ChildFailedError(error)


def answer_parent(work: Callable[[], str]) -> int:
    """Print what the work gives, or its error, as one line of JSON; runs in the child.

    Returns:
        The exit code.
    """
    try:
        print(work())
    except EdgesegError as error:
        print(json.dumps(error.to_dict()))
        return error.exit_code
    return 0
