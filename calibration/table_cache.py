"""Ranges that were measured before are taken from edgeseg's cache, so that the same pictures are run once.

A table's name there is the hash of all that it follows from, so none is out of date, and each may be deleted at any
time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import edgeseg
from edgeseg import frames
from edgeseg.artifacts import CalibrationTable
from edgeseg.calibration.image_warnings import held_out_warning
from edgeseg.calibration.methods import DEFAULT_METHOD
from edgeseg.calibration.ranges import calibrate
from edgeseg.errors import BadInputError
from edgeseg.files import UnwritableError, cache_folder, sha256_bytes, sha256_file
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.optional import require
from edgeseg.progress import Say, Track, quiet, silent
from edgeseg.values import Value


class KeptTable(Value):
    """A calibration table in the cache, with what tells a damaged or a foreign one."""

    key: str
    """Hash of all that the table follows from; its file has this name."""
    table_sha256: str
    table: CalibrationTable


def calibrate_once(
    artifact: OnnxArtifact,
    images: Sequence[Path],
    data: Path,
    track: Track = silent,
    method: str = DEFAULT_METHOD,
    say: Say = quiet,
) -> CalibrationTable:
    """Give the table of `edgeseg.calibration.ranges.calibrate`, from the cache where it lies there.

    A table whose pictures were warned of is not kept, so that the warnings come again.

    Args:
        artifact: The network.
        images: Files, in their order.
        data: The data set that they come from.
        track: Draws the progress of what is measured.
        method: A calibration method.
        say: Hears the warnings, and where the ranges were taken from.

    Raises:
        UsageError: There is no such method.
        BadInputError: As `calibrate` says.
    """
    key = _key(artifact, images, method)
    path = cache_folder() / "calibration" / f"{key}.json"
    kept = _kept(path, key, say)
    if kept is not None:
        say(f"ranges taken from {path}")
        warning = held_out_warning(images, data)
        if warning:
            say(warning)
        return kept
    warnings: list[str] = []
    table = calibrate(artifact, images, track, method, warnings.append, data)
    for warning in warnings:
        say(warning)
    if not warnings:
        try:
            KeptTable(key=key, table_sha256=table.sha256, table=table).write(path)
        except (UnwritableError, OSError) as error:
            say(f"ranges are not kept: {error}")
    return table


def _key(artifact: OnnxArtifact, images: Sequence[Path], method: str) -> str:
    """Hash of the pictures in their order, the network, the method, and the code that measures."""
    sources = sorted([*Path(__file__).parent.glob("*.py"), Path(frames.__file__)])
    versions = [edgeseg.__version__, str(require("onnxruntime").__version__), *map(sha256_file, sources)]
    parts = [artifact.sha256, artifact.weights_sha256, method, versions, [sha256_file(path) for path in images]]
    return sha256_bytes(json.dumps(parts).encode())[:32]


def _kept(path: Path, key: str, say: Say) -> CalibrationTable | None:
    """The table of a file in the cache; one that is not what its name says is told of and left aside."""
    if not path.exists():
        return None
    try:
        kept = KeptTable.read(path)
    except BadInputError as error:
        found = str(error.found)
    else:
        if kept.key == key and kept.table_sha256 == kept.table.sha256:
            return kept.table
        found = f"a table with the key {kept.key}" if kept.key != key else "other ranges than were written"
    say(f"{path} is not the table that its name says ({found}): the ranges are measured anew")
    return None
