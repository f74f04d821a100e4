"""The module `tensorrt` as edgeseg uses it: its classes are the bindings' own, so that stubs check every call.

Without stubs on the path (ci/tensorrt-stubs) they are unknown to mypy, and nothing is checked.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Protocol

from edgeseg.errors import BadInputError, MissingComponentError
from edgeseg.runtime.cuda.cuda_errors import DeviceMemoryError

if TYPE_CHECKING:
    import tensorrt

LOGGER_NAME = "edgeseg.tensorrt"
"""Everything that the library says, at its own level; silent until an application configures logging."""
_SHOWN = 3
_OUT_OF_MEMORY = ("out of memory", "outofmemory", "allocation failed", "insufficient memory")

logging.getLogger(LOGGER_NAME).addHandler(logging.NullHandler())


class TensorRtModule(Protocol):
    """The names that 10.3 to 11.x and TensorRT-RTX share; what one of them lacks is looked up by `getattr`."""

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
    """A logger for TensorRT that hands everything to Python's logging and keeps the last errors for our own message."""

    logger: tensorrt.ILogger
    errors: deque[str] = field(default_factory=deque)

    def take(self) -> str:
        """The last errors as one line; the log is empty afterwards."""
        text = "; ".join(self.errors)
        self.errors.clear()
        return text


@cache
def error_log(trt: TensorRtModule) -> ErrorLog:
    """The one logger of a TensorRT module: TensorRT keeps the first that it is given for the life of the process."""
    if TYPE_CHECKING:
        from tensorrt import ILogger
    else:
        ILogger = trt.ILogger  # noqa: N806

    log = logging.getLogger(LOGGER_NAME)
    levels = {"WARNING": logging.WARNING, "INFO": logging.INFO, "VERBOSE": logging.DEBUG}
    level_of = {getattr(ILogger, name): level for name, level in levels.items() if hasattr(ILogger, name)}
    errors: deque[str] = deque(maxlen=_SHOWN)

    class Collector(ILogger):  # type: ignore[misc]
        """Hands everything on and keeps errors, which only the log tells."""

        def __init__(self) -> None:
            ILogger.__init__(self)

        def log(self, severity: tensorrt.ILogger.Severity, message: str) -> None:
            level = level_of.get(severity, logging.ERROR)
            if level == logging.ERROR:
                errors.append(message)
            log.log(level, "%s", message)

    return ErrorLog(Collector(), errors)


def open_plan(trt: TensorRtModule, plan: bytes, *, host_code: bool = False) -> tensorrt.ICudaEngine:
    """Load an engine on this machine's GPU; its passport and its binding must have been checked.

    Args:
        trt: The module that it was built by.
        plan: The engine.
        host_code: Whether it may bring the runtime that it was built with, as a version compatible engine does.

    Raises:
        BadInputError: TensorRT refuses it.
        DeviceMemoryError: The GPU has too little memory for it.
        MissingComponentError: The library does not start.
    """
    log = error_log(trt)
    log.errors.clear()
    runtime = _runtime(trt, log)
    if host_code:
        runtime.engine_host_code_allowed = True
    engine = runtime.deserialize_cuda_engine(plan)  # keeps its runtime alive
    if engine is None:
        raise _refusal(trt, log.take())
    return engine


def tells_out_of_memory(said: str) -> bool:
    """Tell whether what the library has logged is of memory that it did not get."""
    return any(words in said.lower() for words in _OUT_OF_MEMORY)


def _runtime(trt: TensorRtModule, log: ErrorLog) -> tensorrt.Runtime:
    try:
        return trt.Runtime(log.logger)
    except (TypeError, RuntimeError) as error:  # the bindings' way to say that the library gave no object
        raise MissingComponentError(
            f"{trt.__name__} {trt.__version__} does not start here",
            found=log.take() or error,
            expected="a GPU, a driver and CUDA libraries that this version supports",
            next_command="edgeseg doctor",
        ) from error


def _refusal(trt: TensorRtModule, said: str) -> BadInputError | DeviceMemoryError:
    if tells_out_of_memory(said):
        return DeviceMemoryError(
            "the GPU has no memory left for the engine",
            found=said,
            expected="less in use: no other program on this GPU, or a smaller network",
        )
    return BadInputError(f"{trt.__name__} {trt.__version__} cannot load this engine", found=said or "no reason given")
