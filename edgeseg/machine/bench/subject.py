"""What a bench is of: how the engine is opened, and what its network costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from edgeseg.artifacts import EngineArtifact
from edgeseg.errors import EdgesegError
from edgeseg.graph.cost import ConvolutionCost, convolution_costs
from edgeseg.graph.files import load_onnx, parse_onnx
from edgeseg.machine.bench.roofline import at_precision
from edgeseg.machine.bench.targets import BenchTarget, Layout, OpenTarget, target_of
from edgeseg.optional import is_installed, require
from edgeseg.packages import find_model, onnx_of
from edgeseg.runtime.cuda.session import CudaOptions
from edgeseg.runtime.engine.session import Session
from edgeseg.runtime.opener.loading import open_engine, open_onnx
from edgeseg.runtime.passport.bindings import PACKAGES
from edgeseg.runtime.passport.passports import read_checked

LARGEST_BATCH = 8
CPU_BACKEND = "onnxruntime"


@dataclass(frozen=True)
class Subject:
    """An engine or a model, ready to be opened in any layout."""

    open_target: OpenTarget
    backend: str
    backend_version: str | None
    tf32: bool | None
    costs: Sequence[ConvolutionCost] | None
    """Of every convolution; None where the network is not at hand."""
    costs_missing: str | None = None

    @property
    def on_cpu(self) -> bool:
        """Whether it runs on the CPU."""
        return self.backend == CPU_BACKEND


def subject_of(path: Path) -> Subject:
    """What an ENGINE argument names: an .engine file, or a MODEL, which runs in FP32 on ONNX Runtime.

    Raises:
        BadInputError: Neither, or a RUN folder.
        MismatchError: The passport is missing or does not fit.
    """
    files = find_model(path)
    if files.kind == "engine":
        return _of_engine(path)
    costs = convolution_costs(load_onnx(onnx_of(files)).proto)
    opener = _opener(path, None, LARGEST_BATCH)
    return Subject(opener, CPU_BACKEND, _version_here(CPU_BACKEND), False, costs)


def _of_engine(path: Path) -> Subject:
    data, passport = read_checked(path)
    costs, missing = _costs_of(passport, data, path)
    tf32 = False if passport.backend == CPU_BACKEND else passport.build_flags.get("tf32")
    opener = _opener(path, passport.backend, _largest_batch(passport))
    version = _version_here(passport.backend) or passport.backend_version
    return Subject(opener, passport.backend, version, tf32, costs, missing)


def _version_here(backend: str) -> str | None:
    """Of the library that runs it, which need not be the one that built it."""
    package = PACKAGES.get(backend)
    return None if package is None or not is_installed(package) else str(require(package).__version__)


def _opener(path: Path, backend: str | None, largest_batch: int) -> OpenTarget:
    def open_target(layout: Layout) -> BenchTarget:
        layout = replace(layout, largest_batch=min(layout.largest_batch, largest_batch))
        return target_of(lambda: _open_session(path, backend, layout), layout.lanes, largest_batch)

    return open_target


def _open_session(path: Path, backend: str | None, layout: Layout) -> Session:
    """The one place that turns a layout into a session. A GPU's is opened in this process: a bench may end with it."""
    if backend is None:
        return open_onnx(path, layout.threads)
    if backend == CPU_BACKEND:
        return open_engine(path, layout.threads)
    from edgeseg.runtime.cuda.opening import open_cuda_session

    options = CudaOptions(
        lanes=layout.lanes,
        frame_bytes=layout.frame_bytes,
        stage_times=layout.stage_times,
        largest_batch=layout.largest_batch,
    )
    return open_cuda_session(path, options)


def _largest_batch(passport: EngineArtifact) -> int:
    built = passport.inputs[0].shape[0] if passport.inputs and passport.inputs[0].shape else 1
    if built > 0:
        return built
    profile = passport.build_flags.get("batch")
    return int(profile[-1]) if isinstance(profile, list | tuple) and profile else LARGEST_BATCH


def _costs_of(
    passport: EngineArtifact, data: bytes, path: Path
) -> tuple[tuple[ConvolutionCost, ...] | None, str | None]:
    """An ONNX Runtime engine is its own graph; another's is the file that it was built from, where that is at hand."""
    if passport.backend == CPU_BACKEND:
        return _from_graph(parse_onnx(data, str(path)))
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


def _from_graph(proto: onnx.ModelProto) -> tuple[tuple[ConvolutionCost, ...] | None, str | None]:
    try:
        costs = convolution_costs(proto)
    except (KeyError, ValueError) as error:
        return None, f"the shapes inside the network cannot be inferred ({error})"
    return (costs, None) if costs else (None, "the network has no convolution")
