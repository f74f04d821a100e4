"""Asks the builders, in a child process because choosing initialises CUDA, what `--backend auto` takes here."""

from __future__ import annotations

import json
import subprocess
import sys

from edgeseg.machine.doctor.checks import AutomaticChoice

_SECONDS = 120.0


def ask_builders() -> AutomaticChoice:
    """Let the builders choose, in a process of their own."""
    command = [sys.executable, "-m", "edgeseg.machine.doctor.auto_choice"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS)
        return AutomaticChoice(**json.loads(done.stdout.splitlines()[-1]))
    except (subprocess.TimeoutExpired, IndexError, ValueError) as error:
        return AutomaticChoice(backend="unknown", reason=f"the builders do not answer: {error}")


def choose() -> AutomaticChoice:
    """Let the builders choose, in this process."""
    from edgeseg.export.builder_choice import builder_for

    builder, reason = builder_for("auto")
    return AutomaticChoice(backend=builder.name, reason=reason)


if __name__ == "__main__":
    print(json.dumps(choose().model_dump(mode="json")))  # ASCII, whatever the terminal is
