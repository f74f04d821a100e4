"""The module `tensorrt` as the builder uses it: its classes are the bindings' own, so that stubs check every call.

Without stubs on the path (ci/tensorrt-stubs) they are unknown to mypy, and nothing is checked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Protocol

from edgeseg.errors import BadInputError

if TYPE_CHECKING:
    import tensorrt

_SHOWN = 3


class TensorRtModule(Protocol):
    """What 10.3 to 11.x and TensorRT-RTX have in common; what one of them lacks is looked up by `getattr`."""

    __name__: str
    __version__: str
    Builder: type[tensorrt.Builder]
    BuilderFlag: type[tensorrt.BuilderFlag]
    ILogger: type[tensorrt.ILogger]
    IProfiler: type[tensorrt.IProfiler]
    IProgressMonitor: type[tensorrt.IProgressMonitor]
    LayerInformationFormat: type[tensorrt.LayerInformationFormat]
    MemoryPoolType: type[tensorrt.MemoryPoolType]
    NetworkDefinitionCreationFlag: type[tensorrt.NetworkDefinitionCreationFlag]
    OnnxParser: type[tensorrt.OnnxParser]
    ProfilingVerbosity: type[tensorrt.ProfilingVerbosity]
    Runtime: type[tensorrt.Runtime]

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class ErrorLog:
    """A logger for TensorRT that keeps errors for our own message instead of printing them."""

    logger: tensorrt.ILogger
    errors: list[str] = field(default_factory=list)

    def take(self) -> str:
        """The last errors as one line; the log is empty afterwards."""
        text = "; ".join(self.errors[-_SHOWN:])
        self.errors.clear()
        return text


@cache
def error_log(trt: TensorRtModule) -> ErrorLog:
    """The one logger of a TensorRT module: TensorRT keeps the first that it is given for the life of the process."""
    if TYPE_CHECKING:
        from tensorrt import ILogger
    else:
        ILogger = trt.ILogger  # noqa: N806

    errors: list[str] = []

    class Collector(ILogger):  # type: ignore[misc]
        """Hands errors on."""

        def __init__(self) -> None:
            ILogger.__init__(self)

        def log(self, severity: tensorrt.ILogger.Severity, message: str) -> None:
            if severity <= ILogger.ERROR:
                errors.append(message)

    return ErrorLog(Collector(), errors)


def open_plan(trt: TensorRtModule, plan: bytes) -> tensorrt.ICudaEngine:
    """Load an engine on this machine's GPU; its passport and its binding must have been checked.

    Raises:
        BadInputError: TensorRT refuses it.
    """
    log = error_log(trt)
    engine = trt.Runtime(log.logger).deserialize_cuda_engine(plan)
    if engine is None:
        raise BadInputError(f"{trt.__name__} {trt.__version__} cannot load this engine", found=log.take())
    return engine
