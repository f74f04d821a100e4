"""Work in a process of its own: what crashes there ends one step, and its memory goes with it."""

from __future__ import annotations

import json
import signal
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


class ChildDiedError(ChildFailedError):
    """A child process ended without a word of its own: it crashed, or was killed."""


def ask_child(module: str, *arguments: str, role: str, timeout_s: float | None = None) -> str:
    """Run a module whose last lines are those of `answer_parent`.

    Args:
        module: Run as ``python -m``.
        arguments: Its own.
        role: What it is, for the message when it dies: ``the builder``.
        timeout_s: When it is ended because it does not answer; None waits for ever.

    Returns:
        What it printed.

    Raises:
        ChildDiedError: It died.
        ChildFailedError: It refused with an EdgesegError of its own, or it did not answer in time.
    """
    command = [sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ChildFailedError({"what": f"{role}'s process did not answer in {timeout_s:.0f} s"}) from error
    if done.returncode == 0:
        return done.stdout
    try:
        refusal = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = " ".join(done.stderr.strip().splitlines()[-1:])
        found = f"{_ending(done.returncode)}: {last[:300]}" if last else _ending(done.returncode)
        raise ChildDiedError({"what": f"{role}'s process died", "found": found}) from None
    raise ChildFailedError(refusal)


def _ending(code: int) -> str:
    return f"exit code {code}" + (f" ({signal.strsignal(-code)})" if code < 0 else "")


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
