"""Opens the engine that is measured: TensorRT's where it runs, else the stand-in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgeseg.graph.onnx_files import OnnxArtifact, load_onnx
from edgeseg.packages import find_model, onnx_of
from edgeseg.runtime.cuda.cuda_engine import CudaEngine, CudaOptions
from edgeseg.runtime.cuda.execution import Deserialised
from edgeseg.runtime.engine.session import SessionInfo

EngineName = Literal["torch", "tensorrt", "tensorrt-rtx"]
"""torch is the stand-in."""


@dataclass(frozen=True)
class Opening:
    """An engine that can be opened again and again."""

    name: str
    """The engine's name in words, saying what it is not."""
    stand_in: bool
    artifact: OnnxArtifact
    open_engine: Callable[[], Deserialised]
    """Opens the engine once a GPU's context is current."""

    @property
    def info(self) -> SessionInfo:
        """The engine's identity, as a session gives it."""
        metadata, backend = self.artifact.metadata, "stand-in" if self.stand_in else self.name
        return SessionInfo(metadata.model, metadata.preprocess, backend, "fp16", self.artifact.sha256)

    def session(self, **options: Any) -> CudaEngine:
        """A session on it; options as of `CudaOptions`."""
        return CudaEngine(self.open_engine, self.info, CudaOptions(**options))


def opening_for(engine: EngineName, package: Path) -> Opening:
    """The engine of that name on the network of a package.

    Raises:
        EdgesegError: It cannot be had on this machine.
    """
    if engine == "torch":
        return _torch_opening(package)
    from benchmarks.gpu.tensorrt_engine import tensorrt_opening

    return tensorrt_opening(engine, package)


def _torch_opening(package: Path) -> Opening:
    from benchmarks.gpu import torch_engine

    artifact = load_onnx(onnx_of(find_model(package)))
    engines: list[Any] = []

    def opened() -> Any:
        if not engines:  # one set of weights for all sessions
            engines.append(torch_engine.TorchEngine(artifact))
        return engines[0]

    return Opening(torch_engine.NAME, True, artifact, opened)
