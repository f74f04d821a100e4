"""A stand-in for TensorRT's engine and execution context: ONNX Runtime's CPU provider on the raw device addresses.

It runs in stream order, as a host function of the CUDA test double, so streams, events and capture treat it like an
engine. Names and return values are those of TensorRT 10. It proves the logic around an engine, and no speed.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from edgeseg.runtime.cuda.cuda_engine import CudaEngine, CudaOptions
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.opener.use import Use

DTYPES = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}
HOST_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
LAUNCH_FAILED = 719


class StandInEngine:
    """As ICudaEngine; the plan is an ONNX file's bytes."""

    def __init__(self, plan: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self.session = onnxruntime.InferenceSession(plan, options, providers=["CPUExecutionProvider"])
        self.inputs = {tensor.name: tensor for tensor in self.session.get_inputs()}
        self.outputs = {tensor.name: tensor for tensor in self.session.get_outputs()}
        self.refusing = False
        """Let every execution be refused, as a TensorRT that finds something wrong does."""

    def create_execution_context(self) -> StandInContext:
        return StandInContext(self)


class StandInContext:
    """As IExecutionContext."""

    def __init__(self, engine: StandInEngine) -> None:
        self._engine = engine
        self._driver = ctypes.CDLL("libcuda.so.1")
        assert self._driver.cudadouble_is_double()
        self._addresses: dict[str, int] = {}
        self._batch = 1
        self._functions: list[Any] = []

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        if name not in self._engine.inputs or list(shape[1:]) != self._engine.inputs[name].shape[1:]:
            return False
        self._batch = shape[0]
        return True

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if name not in self._engine.inputs and name not in self._engine.outputs:
            return False
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        tensors = {**self._engine.inputs, **self._engine.outputs}
        if self._engine.refusing or not all(self._fits(name, tensor) for name, tensor in tensors.items()):
            return False
        addresses = dict(self._addresses)  # taken now, as by TensorRT
        function = HOST_FUNCTION(lambda _: self._run(addresses))
        self._functions.append(function)  # a captured graph calls it at any later time
        return bool(self._driver.cuLaunchHostFunc(ctypes.c_void_p(stream_handle), function, None) == 0)

    def why_refused(self) -> str:
        return ""

    def _shape(self, tensor: Any) -> list[int]:
        return [self._batch, *tensor.shape[1:]]

    def _fits(self, name: str, tensor: Any) -> bool:
        """Stricter than TensorRT: a buffer that is unknown or too small is refused."""
        needed = math.prod(self._shape(tensor)) * np.dtype(DTYPES[tensor.type]).itemsize
        base, size = ctypes.c_uint64(), ctypes.c_size_t()
        address = self._addresses.get(name, 0)
        found = self._driver.cuMemGetAddressRange_v2(ctypes.byref(base), ctypes.byref(size), ctypes.c_uint64(address))
        return found == 0 and address + needed <= base.value + size.value

    def _run(self, addresses: dict[str, int]) -> None:
        try:
            binding = self._engine.session.io_binding()
            for tensors, bind in (
                (self._engine.inputs, binding.bind_input),
                (self._engine.outputs, binding.bind_output),
            ):
                for name, tensor in tensors.items():
                    bind(name, "cpu", 0, DTYPES[tensor.type], self._shape(tensor), addresses[name])
            self._engine.session.run_with_iobinding(binding)
        except Exception as error:  # never through C: a sticky error, as a failing engine leaves on a GPU
            print("stand-in engine:", error)
            self._driver.cudadouble_fail(LAUNCH_FAILED)


def open_standin(onnx: Path, options: CudaOptions | None = None, frame_bytes: int = 0) -> CudaEngine:
    """A CUDA engine on the stand-in; the function that a worker process is given, which says the room it needs."""
    data = onnx.read_bytes()
    reference = open_engine(onnx, Use(1))
    return CudaEngine(lambda: StandInEngine(data), reference.info, options)


EngineSource = Callable[[], StandInEngine]
