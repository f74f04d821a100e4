"""Refuses to repeat a build with another network or other ranges than its passport's, and names what differs."""

from __future__ import annotations

from pathlib import Path

from edgeseg.artifacts import CalibrationTable, EngineArtifact
from edgeseg.errors import MismatchError
from edgeseg.graph.onnx_files import OnnxArtifact

NEXT_COMMAND = "edgeseg build-engine MODEL builds an engine of what is there now"


def check_same_network(artifact: OnnxArtifact, former: EngineArtifact, path: Path) -> None:
    """Refuse another network than the former engine's.

    Args:
        artifact: The network that is there now.
        former: The passport of the build that is repeated.
        path: The network's place.

    Raises:
        MismatchError: It is another.
    """
    if artifact.sha256 != former.onnx_sha256:
        raise MismatchError(
            f"the network {path} is not the one that the engine was built from",
            found=f"sha256 {artifact.sha256}",
            expected=f"sha256 {former.onnx_sha256}",
            next_command=NEXT_COMMAND,
        )


def check_same_table(table: CalibrationTable, former: EngineArtifact, path: Path | None) -> None:
    """Refuse another calibration than the former engine's.

    Args:
        table: What was read or measured now.
        former: The passport of the build that is repeated; an older one records neither data nor method.
        path: The table or the images, as they were named; None where the model brought its table.

    Raises:
        MismatchError: The data, the method, or the ranges themselves are others; the message says which.
    """
    if former.calibration_sha256 in (None, table.sha256):
        return
    found, expected, which = f"sha256 {table.sha256}", f"sha256 {former.calibration_sha256}", ""
    build = former.build
    if build is not None and build.table_method is not None and build.table_data_sha256 is not None:
        parts = {
            "method": (table.method, build.table_method),
            "data": (table.data_sha256[:12], build.table_data_sha256[:12]),
        }
        words = {"method": "another method", "data": "other data"}
        others = [words[name] for name, (now, then) in parts.items() if now != then]
        which = f": it has {' and '.join(others) or 'other ranges, with the same method and the same data'}"
        found += "".join(f", {name} {now}" for name, (now, _) in parts.items())
        expected += "".join(f", {name} {then}" for name, (_, then) in parts.items())
    raise MismatchError(
        f"the calibration {path or 'of the model'} is not the one that the engine was built from{which}",
        found=found,
        expected=expected,
        next_command=NEXT_COMMAND,
    )
