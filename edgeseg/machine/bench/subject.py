"""The subject of a bench: how its engine is opened, and what its network costs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import onnx

from edgeseg.artifacts import EngineArtifact
from edgeseg.errors import BadInputError, EdgesegError
from edgeseg.graph.cost import ConvolutionCost, convolution_costs
from edgeseg.graph.onnx_files import load_onnx, parse_onnx
from edgeseg.machine.bench.roofline import at_precision
from edgeseg.optional import is_installed, require
from edgeseg.packages import find_model, onnx_of
from edgeseg.runtime.engine.backends import EVERYWHERE, backend_named, on_cpu
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.engine_layout import SessionLayout
from edgeseg.runtime.engine.session import Session
from edgeseg.runtime.opener.engine_from_file import open_engine, open_here
from edgeseg.runtime.opener.use import Use
from edgeseg.runtime.passport.passports import read_checked

LARGEST_BATCH = 8


@dataclass(frozen=True)
class Subject:
    """An engine or a model, ready to be opened in any layout."""

    open_engine: Callable[[Use], Engine]
    """The function that opens it as `edgeseg run` does: a GPU's in a process of its own."""
    open_session: Callable[[SessionLayout], Session]
    """The function that opens it in this process, for batches."""
    backend: str
    backend_version: str | None
    tf32: bool | None
    costs: Sequence[ConvolutionCost] | None
    """The cost of every convolution; None where the network is not at hand."""
    costs_missing: str | None = None
    largest_batch: int = LARGEST_BATCH
    """The largest batch that the engine was built for."""

    @property
    def on_cpu(self) -> bool:
        """True if it runs on the CPU."""
        return on_cpu(self.backend)


def subject_of(path: Path) -> Subject:
    """Find what an ENGINE argument names: an .engine file, or a MODEL, which runs in FP32 on ONNX Runtime.

    Raises:
        BadInputError: It is neither, or a RUN folder.
        MismatchError: The passport is missing or does not fit.
    """
    files = find_model(path)
    if files.kind == "engine":
        return _of_engine(path)
    artifact = load_onnx(onnx_of(files))
    costs = convolution_costs(artifact.proto)
    largest = artifact.metadata.model.largest_batch or LARGEST_BATCH
    return Subject(*_openers(path), EVERYWHERE, _version_here(EVERYWHERE), False, costs, largest_batch=largest)


def _of_engine(path: Path) -> Subject:
    data, passport = read_checked(path)
    costs, missing = _costs_of(passport, data, path)
    tf32 = False if on_cpu(passport.backend) else passport.build_flags.get("tf32")
    version = _version_here(passport.backend) or passport.backend_version
    return Subject(*_openers(path), passport.backend, version, tf32, costs, missing, _largest_batch(passport))


def _openers(path: Path) -> tuple[Callable[[Use], Engine], Callable[[SessionLayout], Session]]:
    def open_session(layout: SessionLayout) -> Session:
        return cast("Session", open_here(path, layout))  # an engine in this process runs batches, too

    return functools.partial(open_engine, path), open_session


def _version_here(backend: str) -> str | None:
    """Read the version of the library that runs it, which need not be the one that built it."""
    package = backend_named(backend).package
    return str(require(package).__version__) if is_installed(package) else None


def _largest_batch(passport: EngineArtifact) -> int:
    built = passport.inputs[0].shape[0] if passport.inputs and passport.inputs[0].shape else 1
    if built > 0:
        return built
    profile = passport.build_flags.get("batch")
    return int(profile[-1]) if isinstance(profile, list | tuple) and profile else LARGEST_BATCH


def _costs_of(
    passport: EngineArtifact, data: bytes, path: Path
) -> tuple[tuple[ConvolutionCost, ...] | None, str | None]:
    """Cost the engine's own graph if it is an ONNX file, else the file that it was built from, if at hand."""
    graph = _own_graph(data, path)
    if graph is not None:
        return _from_graph(graph)
    if passport.build is None:
        return None, "the passport does not say which file the engine was built from"
    try:
        artifact = load_onnx(onnx_of(find_model(Path(passport.build.model))))
    except EdgesegError:
        return None, f"the network that the engine was built from is not at hand ({passport.build.model})"
    if artifact.weights_sha256 != passport.weights_sha256:
        return None, f"{passport.build.model} holds other weights than the engine"
    costs, missing = _from_graph(artifact.proto)
    return (None if costs is None else at_precision(costs, passport.precision)), missing


def _own_graph(data: bytes, path: Path) -> onnx.ModelProto | None:
    try:
        proto = parse_onnx(data, str(path))
    except BadInputError:
        return None
    return proto if proto.graph.node else None


def _from_graph(proto: onnx.ModelProto) -> tuple[tuple[ConvolutionCost, ...] | None, str | None]:
    try:
        costs = convolution_costs(proto)
    except (KeyError, ValueError) as error:
        return None, f"the shapes inside the network cannot be inferred ({error})"
    return (costs, None) if costs else (None, "the network has no convolution")
