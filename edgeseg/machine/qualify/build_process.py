"""One build in a process of its own; see child.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from edgeseg.artifacts import Precision
from edgeseg.child import answer_parent, ask_child
from edgeseg.export.build import BuildOptions, build_engine

_THIS = "edgeseg.machine.qualify.build_process"


def build_apart(model: Path, backend: str, precision: Precision, calibration_data: Path | None, out: Path) -> None:
    """Build an engine in a child process; engine and passport lie at `out` afterwards.

    Args:
        model: An .onnx file or a model package.
        backend: Which builder.
        precision: Precision of all convolutions.
        calibration_data: Images for the ranges of INT8; None takes the model's own table.
        out: The engine.

    Raises:
        ChildFailedError: The builder refused, or its process died.
    """
    request = {
        "precision": precision,
        "backend": backend,
        "calibration_data": None if calibration_data is None else str(calibration_data),
        "out": str(out),
    }
    try:
        ask_child(_THIS, str(model), json.dumps(request), role="the builder")
    finally:  # a child that was killed could not take its unfinished engine or passport away
        for unfinished in out.parent.glob(f".{out.stem}*-*"):
            unfinished.unlink(missing_ok=True)


def build(model: str, request: str) -> str:
    """Build an engine; runs in the child.

    Returns:
        Nothing to print.
    """
    named = json.loads(request)
    paths = {name: None if named[name] is None else Path(named[name]) for name in ("calibration_data", "out")}
    build_engine(Path(model), BuildOptions(**named | paths, keep_int8=True))
    return ""


if __name__ == "__main__":
    sys.exit(answer_parent(lambda: build(*sys.argv[1:])))
