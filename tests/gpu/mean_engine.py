"""A stand-in for TensorRT's engine and execution context: one kernel of standin.cu, repeated by numpy bit for bit.

It is no network: it proves the lanes and the worker around an engine, on a GPU, and no speed.
"""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.frames import Frame, resize_to_network
from edgeseg.optional import require
from edgeseg.runtime.cuda.cuda_engine import CudaEngine, CudaOptions
from edgeseg.runtime.cuda.cuda_errors import checked
from edgeseg.runtime.cuda.kernels.compile import FLAGS, code_arguments, find_nvcc
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.specs import Crop, ModelSpec, PreprocessSpec

SOURCE = Path(__file__).with_name("standin.cu")
THREADS = 256
ILLEGAL_ADDRESS, HANG = 1, 2
"""The ways in which `failing_frame` makes the engine fail."""


def compiled(architecture: int, target: Path) -> Path:
    """standin.cu as a fatbin."""
    command = [str(find_nvcc()), *FLAGS, *code_arguments((architecture,)), "-o", str(target), str(SOURCE)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return target


@dataclass(frozen=True)
class MeanNetwork:
    """Size and window of the network that the stand-in stands for."""

    height: int = 64
    width: int = 80
    crop: Crop | None = None

    def info(self) -> SessionInfo:
        model = ModelSpec(architecture="stand-in-mean", height=self.height, width=self.width)
        return SessionInfo(model, PreprocessSpec(crop=self.crop), "stand-in", "fp32", "0" * 64)

    def probability(self, rgb: Frame) -> NDArray[np.float32]:
        """Give what the CPU makes of a frame of any size: float32 [1,height,width]."""
        small = resize_to_network(rgb, self.height, self.width, self.crop)
        return (small.sum(axis=2, dtype=np.int32).astype(np.float32) / np.float32(765))[np.newaxis]


def failing_frame(failure: int, height: int = 120, width: int = 160) -> Frame:
    """A frame on which the stand-in fails."""
    return np.tile(np.array([failure, 254, failure], np.uint8), (height, width, 1))


class MeanEngine:
    """As ICudaEngine."""

    def __init__(self, image: Path) -> None:
        self._driver = require("cuda.bindings.driver")
        module = checked(self._driver.cuModuleLoadData(image.read_bytes()), "load the stand-in")
        self.function: Any = checked(self._driver.cuModuleGetFunction(module, b"standin_mean"), "find the stand-in")

    def create_execution_context(self) -> MeanContext:
        return MeanContext(self.function)


class MeanContext:
    """As IExecutionContext."""

    def __init__(self, function: Any) -> None:
        self._driver = require("cuda.bindings.driver")
        self._function = function
        self._addresses: dict[str, int] = {}
        self._pixels = 0

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._pixels = shape[1] * shape[2]
        return name == "frame" and shape[0] == 1

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        values = (self._addresses["frame"], self._addresses["probability"], self._pixels)
        kinds = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
        blocks = -(-self._pixels // THREADS)
        launched = self._driver.cuLaunchKernel(
            self._function, blocks, 1, 1, THREADS, 1, 1, 0, stream_handle, (values, kinds), 0
        )
        return int(launched[0]) == 0

    def why_refused(self) -> str:
        return "the stand-in's kernel was not launched"


def open_mean_session(
    image: Path, network: MeanNetwork | None = None, options: CudaOptions | None = None
) -> CudaEngine:
    """A CUDA session on the stand-in; what a worker process is given."""
    return CudaEngine(lambda: MeanEngine(image), (network or MeanNetwork()).info(), options)
