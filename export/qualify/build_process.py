"""One build in a process of its own: a builder that crashes ends one engine, not all, and its memory goes with it.

Builders of TensorRT initialise CUDA, too, which the process that supervises an engine's worker must not.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from edgeseg.errors import EdgesegError
from edgeseg.export.build import BuildOptions, build_engine


class BuildFailedError(EdgesegError):
    """A build in a child process ended without an engine."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(
            error["what"], found=error.get("found"), expected=error.get("expected"), next_command=error.get("next")
        )
        self.exit_code = int(error.get("exit_code") or 1)


def build_apart(model: Path, options: BuildOptions) -> None:
    """Build an engine in a child process; engine and passport lie at `options.out` afterwards.

    Raises:
        BuildFailedError: The builder refused, or its process died.
    """
    assert options.out is not None
    request = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in dataclasses.asdict(dataclasses.replace(options, tensorrt=None, former=None)).items()
    }
    command = [sys.executable, "-m", "edgeseg.export.qualify.build_process", str(model), json.dumps(request)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    finally:  # a child that was killed could not take its unfinished file away
        for unfinished in options.out.parent.glob(f".{options.out.stem}-*"):
            unfinished.unlink(missing_ok=True)
    if done.returncode == 0:
        return
    try:
        error = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = " ".join(done.stderr.strip().splitlines()[-1:])
        error = {"what": "the builder's process died", "found": f"exit code {done.returncode}: {last[:300]}"}
    raise BuildFailedError(error)


def main(model: str, request: str) -> int:
    """The child: build, and print an error as JSON.

    Returns:
        The exit code.
    """
    named = json.loads(request)
    paths = {name: None if named[name] is None else Path(named[name]) for name in _PATHS}
    try:
        build_engine(Path(model), BuildOptions(**named | paths))
    except EdgesegError as error:
        print(json.dumps(error.to_dict()))
        return error.exit_code
    return 0


_PATHS = ("calibration", "calibration_data", "out")

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
