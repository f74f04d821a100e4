"""The weights of an engine that was built without them: the network that its passport names, found and checked.

The constants that the engine takes back are those of the strongly typed graph that it was built from, INT8 scales
included, so that graph is made again here. Nothing leaves this module but constants of the hash that the passport says.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeseg.artifacts import CalibrationTable, EngineArtifact
from edgeseg.calibration.strongly_typed import strongly_typed
from edgeseg.errors import BadInputError, MismatchError, UsageError
from edgeseg.files import sha256_file
from edgeseg.graph.files import load_onnx, serialize
from edgeseg.graph.weights import constants_sha256
from edgeseg.packages import ModelFiles, find_model, package_folders

_SHOWN = 4
_HASH_SHOWN = 12


@dataclass(frozen=True)
class EngineWeights:
    """The weights that an engine without weights is given back."""

    onnx: bytes
    """The strongly typed graph, as it was handed to the parser."""
    origin: Path
    """The .onnx file or model package that it was made from."""
    made_in_ms: float
    """How long it took to find, make and check it."""

    def __repr__(self) -> str:
        return f"EngineWeights({len(self.onnx)} bytes from {self.origin})"


def engine_weights(engine: Path, passport: EngineArtifact, named: Path | None = None) -> EngineWeights | None:
    """Find the weights of an engine; they are the passport's or an error.

    Args:
        engine: NAME.engine; networks are looked for beside it, and where the passport says that it was built from.
        passport: Its passport.
        named: The .onnx file or model package to take them from, and from nowhere else.

    Returns:
        The weights; None for an engine that holds its own.

    Raises:
        MismatchError: No network of the passport's hash is there, or not its calibration table, or this edgeseg makes
            other constants of them.
        UsageError: Weights were named for an engine that holds its own.
    """
    refuse_named(engine, named, passport)
    if not passport.stripped:
        return None
    if passport.refit_sha256 is None or passport.precision_plan is None:
        raise MismatchError(
            f"{engine} was built without its weights, and its passport does not say which ones it takes back",
            found="a passport of an older edgeseg",
            next_command=passport.rebuild,
        )
    started_s = time.perf_counter()
    files = _network(engine, passport, named)
    table = _table(engine, passport, files) if passport.calibration_sha256 is not None else None
    assert files.onnx is not None
    proto = strongly_typed(load_onnx(files.onnx), table, passport.precision_plan).proto
    found = constants_sha256(proto)
    if found != passport.refit_sha256:
        raise MismatchError(
            f"this edgeseg makes other weights of {files.path} than the one that built {engine}",
            found=f"constants of sha256 {found}",
            expected=f"constants of sha256 {passport.refit_sha256}",
            next_command=passport.rebuild,
        )
    return EngineWeights(serialize(proto), files.path, 1000 * (time.perf_counter() - started_s))


def refuse_named(model: Path, named: Path | None, passport: EngineArtifact | None = None) -> None:
    """Refuse weights that were named for what holds its own.

    Args:
        model: An engine or any other model.
        named: The weights' model; None where none was named.
        passport: The engine's passport.

    Raises:
        UsageError: Nothing would take them.
    """
    if named is not None and not (passport is not None and passport.stripped):
        raise UsageError(
            f"{model} holds its own weights",
            found=f"--weights {named}",
            expected="an engine built with --strip-weights",
            next_command="the same command without --weights",
        )


def _network(engine: Path, passport: EngineArtifact, named: Path | None) -> ModelFiles:
    seen: list[str] = []
    for files in _named_network(named) if named is not None else _networks(engine, passport):
        assert files.onnx is not None
        found = sha256_file(files.onnx)
        if found == passport.onnx_sha256:
            return files
        seen.append(f"{files.onnx} of sha256 {found[:_HASH_SHOWN]}")
    then = "" if passport.build is None else f" ({passport.build.model} when it was built)"
    raise MismatchError(
        f"{engine} was built without its weights, and the network that holds them is not here",
        found=_few(seen) or f"no network in {engine.absolute().parent}",
        expected=f"an .onnx file or model package of sha256 {passport.onnx_sha256}{then}",
        next_command=f"copy it into {engine.absolute().parent}, or name it with --weights; else {passport.rebuild}",
    )


def _named_network(named: Path) -> Iterator[ModelFiles]:
    files = find_model(named)
    if files.onnx is None:
        raise BadInputError(
            f"{named} holds no weights for an engine", found=files.kind, expected="an .onnx file or a model package"
        )
    yield files


def _networks(engine: Path, passport: EngineArtifact) -> Iterator[ModelFiles]:
    """The networks to look at: where the passport says that the network lay, then everything beside the engine."""
    folder = engine.absolute().parent
    recorded = [] if passport.build is None else [Path(passport.build.model)]
    for path in (*recorded, *package_folders(folder), *sorted(folder.glob("*.onnx"))):
        try:
            files = find_model(path)
        except BadInputError:  # moved since
            continue
        if files.onnx is not None and files.onnx.is_file():
            yield files


def _table(engine: Path, passport: EngineArtifact, files: ModelFiles) -> CalibrationTable:
    then = "" if passport.build is None else passport.build.calibration or ""
    beside = sorted(engine.absolute().parent.glob("*.calibration.json"))
    seen: list[str] = []
    for path in (files.calibration, *([Path(then)] if then else []), *beside):
        table = _read_table(path)
        if table is not None and table.sha256 == passport.calibration_sha256:
            return table
        seen += [] if table is None else [f"{path} of sha256 {table.sha256[:_HASH_SHOWN]}"]
    raise MismatchError(
        f"{engine} was built without its weights, and the calibration table of its INT8 scales is not here",
        found=_few(seen) or f"no table with {files.path} or in {engine.absolute().parent}",
        expected=f"a table of sha256 {passport.calibration_sha256}" + (f" ({then} when it was built)" if then else ""),
        next_command=f"copy it into {engine.absolute().parent} as NAME.calibration.json; else {passport.rebuild}",
    )


def _read_table(path: Path | None) -> CalibrationTable | None:
    if path is None or not path.is_file():
        return None
    try:
        return CalibrationTable.read(path)
    except BadInputError:  # something else of that name
        return None


def _few(seen: list[str]) -> str:
    return "; ".join(seen[:_SHOWN]) + (f" and {len(seen) - _SHOWN} more" if len(seen) > _SHOWN else "")
