"""CUDA failures as errors of edgeseg: which of them end the process, and which end one frame."""

from __future__ import annotations

import contextlib
import re
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from edgeseg.errors import EdgesegError, MissingComponentError
from edgeseg.optional import require
from edgeseg.runtime.engine.failures import ProcessLostError, TransientError

_OUT_OF_MEMORY = 2
_ONLY_WHILE_CAPTURING = range(900, 910)
_NO_CONTEXT = (3, 201)
"""CUDA is not initialised; no context is current: there is none that could be lost."""
_LAUNCH_OUT_OF_RESOURCES = 701


class CudaError(TransientError):
    """A CUDA call was refused; the context still works."""


class DeviceMemoryError(CudaError):
    """The GPU has no memory left for what was asked; nothing was allocated."""


class LaunchRefusedError(CudaError):
    """The driver or the engine refused to start work; nothing ran."""


class StickyCudaError(CudaError, ProcessLostError):
    """The context is lost, and with it every result under way.

    CUDA answers every later call of this process with the same error; only a new process helps (CUDA Driver API, for
    example at ``CUDA_ERROR_ILLEGAL_ADDRESS``).
    """


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what pycuda raises inside the block into an error of ours.

    pycuda's exceptions carry no code. Whether the context is lost is therefore asked of the context itself: a sticky
    error comes back from every call.

    Args:
        doing: What the block does, for the message: "cannot <doing>".

    Raises:
        StickyCudaError: The context is lost.
        DeviceMemoryError: Out of memory.
        LaunchRefusedError: A launch that did not start.
        CudaError: Any other refusal.
    """
    pycuda = require("pycuda.driver")
    try:
        yield
    except pycuda.Error as error:
        raise _error_of(doing, error, pycuda) from error


def checked(result: tuple[Any, ...], doing: str) -> Any:
    """The values of one call of `cuda.bindings.driver`, whose first element is the status.

    Args:
        result: What the call returned.
        doing: What the call does, for the message.

    Raises:
        CudaError: As `translated`.
    """
    status, *values = result
    code = int(status)
    if code == 0:
        return values[0] if len(values) == 1 else tuple(values)
    raise error_of_code(code, doing, sticky_code())


def sticky_code() -> int:
    """The error that the current context is stuck in, 0 where it still works. Waits for work under way."""
    driver = require("cuda.bindings.driver")
    code = int(driver.cuCtxSynchronize()[0])
    return 0 if code in (_OUT_OF_MEMORY, *_NO_CONTEXT) or code in _ONLY_WHILE_CAPTURING else code


def error_of_code(code: int, doing: str, sticky: int = 0) -> CudaError:
    """The error for a CUresult.

    Args:
        code: What the call returned.
        doing: What the call does, for the message.
        sticky: What the context answers now; not 0: it is lost.
    """
    if sticky:
        return _sticky(doing, f"CUDA error {sticky}, {_text_of(sticky)}")
    found = f"CUDA error {code}, {_text_of(code)}"
    if code == _OUT_OF_MEMORY:
        return _out_of_memory(doing, found)
    if code == _LAUNCH_OUT_OF_RESOURCES:
        return LaunchRefusedError(f"the GPU driver refused to {doing}", found=found)
    return CudaError(f"cannot {doing}", found=found)


def _error_of(doing: str, error: Exception, pycuda: Any) -> EdgesegError:
    found = str(error)
    if re.search("no CUDA-capable device|invalid device ordinal", found):
        return no_device(found)
    if re.search("no kernel image is available", found):
        return MissingComponentError(
            f"cannot {doing}: the kernels were built for another GPU",
            found=found,
            next_command="edgeseg doctor",
        )
    sticky = sticky_code()
    if sticky:
        return _sticky(doing, f"CUDA error {sticky}, {_text_of(sticky)}")
    if isinstance(error, pycuda.MemoryError):
        return _out_of_memory(doing, found)
    if isinstance(error, pycuda.LaunchError) or "cuLaunchKernel" in found:
        return LaunchRefusedError(f"the GPU driver refused to {doing}", found=found)
    return CudaError(f"cannot {doing}", found=found)


def no_device(found: object) -> MissingComponentError:
    """The error for a machine without a usable GPU."""
    return MissingComponentError(
        "there is no CUDA GPU that this process may use",
        found=found,
        expected="an NVIDIA GPU and its driver (nvidia-smi, on a Jetson tegrastats, shows them)",
        next_command="edgeseg doctor",
    )


def _sticky(doing: str, found: str) -> StickyCudaError:
    return StickyCudaError(
        f"the GPU failed for good while this process was to {doing}",
        found=found,
        expected="a new process: CUDA cannot be used again in this one",
    )


def _out_of_memory(doing: str, found: str) -> DeviceMemoryError:
    return DeviceMemoryError(
        f"the GPU has no memory left to {doing}",
        found=found,
        expected="less in use: fewer lanes, smaller frames, no other program on this GPU",
    )


def _text_of(code: int) -> str:
    driver = require("cuda.bindings.driver")
    status, text = driver.cuGetErrorString(driver.CUresult(code))
    return text.decode() if int(status) == 0 and text else "unknown"


def forget_locals(kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
    """Empty the frames of a traceback, which would keep streams and modules alive past their context."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
