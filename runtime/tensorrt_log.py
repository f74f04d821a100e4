"""What TensorRT and TensorRT-RTX log: to Python's logging, and the last errors kept for messages of our own."""

from __future__ import annotations

import logging
from collections import deque
from functools import cache
from typing import Any

LOGGER_NAME = "edgeseg.tensorrt"
"""Everything that the library says, at its own level; silent until an application configures logging."""
_SHOWN = 3

logging.getLogger(LOGGER_NAME).addHandler(logging.NullHandler())


@cache
def tensorrt_logger(trt: Any) -> Any:
    """The one logger of a TensorRT module: TensorRT keeps the first that it is given for the life of the process.

    Args:
        trt: The module `tensorrt` or `tensorrt_rtx`.
    """
    log = logging.getLogger(LOGGER_NAME)
    levels = {"WARNING": logging.WARNING, "INFO": logging.INFO, "VERBOSE": logging.DEBUG}
    level_of = {getattr(trt.ILogger, name): level for name, level in levels.items() if hasattr(trt.ILogger, name)}

    class Collector(trt.ILogger):  # type: ignore[misc]
        """Hands everything on and keeps errors, which only the log tells."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=_SHOWN)

        def log(self, severity: Any, message: str) -> None:
            level = level_of.get(severity, logging.ERROR)
            if level == logging.ERROR:
                self.errors.append(message)
            log.log(level, "%s", message)

        def take(self) -> str:
            """The last errors as one line; none are left afterwards."""
            text = "; ".join(self.errors)
            self.errors.clear()
            return text

    return Collector()
