"""A stand-in for what edgeseg calls of TensorRT: an ONNX file is the plan, ONNX Runtime the engine.

It keeps TensorRT 10's names, return values and order of calls, as far as the bindings' documentation tells them. That
the real library answers alike is not shown by it. EDGESEG_STANDIN_FAULT makes it fail in one way, in worker processes
too; EDGESEG_STANDIN_LOG names a file that every call is written to.
"""

from __future__ import annotations

import enum
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from standin_engine import StandInContext, StandInEngine

MAGIC = b"stand-in plan\n"


class ILogger:
    """As trt.ILogger: lower is worse."""

    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


TensorIOMode = enum.Enum("TensorIOMode", "NONE INPUT OUTPUT")
DataType = enum.Enum("DataType", "FLOAT HALF INT8 INT32 BOOL UINT8")
BuilderFlag = enum.Enum("BuilderFlag", "TF32 VERSION_COMPATIBLE")
ProfilingVerbosity = enum.Enum("ProfilingVerbosity", "DETAILED")
MemoryPoolType = enum.Enum("MemoryPoolType", "WORKSPACE")
LayerInformationFormat = enum.Enum("LayerInformationFormat", "JSON")
NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)


def fault() -> str:
    return os.environ.get("EDGESEG_STANDIN_FAULT", "")


def note(call: str) -> None:
    if path := os.environ.get("EDGESEG_STANDIN_LOG"):
        with Path(path).open("a") as file:
            file.write(f"{os.getpid()} {call}\n")


class Builder:
    def __init__(self, logger: ILogger) -> None:
        pass

    def create_network(self, flags: int) -> SimpleNamespace:
        return SimpleNamespace(plan=b"")

    def create_builder_config(self) -> Config:
        return Config()

    def create_optimization_profile(self) -> SimpleNamespace:
        return SimpleNamespace(set_shape=lambda name, smallest, usual, largest: None)

    def build_serialized_network(self, network: SimpleNamespace, config: Config) -> bytes:
        return MAGIC + network.plan


class Config:
    num_compute_capabilities = 0

    def __init__(self) -> None:
        self.profiling_verbosity: Any = None
        self.flags: set[BuilderFlag] = set()

    def set_flag(self, flag: BuilderFlag) -> None:
        self.flags.add(flag)

    def _accept(self, *arguments: Any) -> bool:
        return True

    clear_flag = set_memory_pool_limit = add_optimization_profile = _accept
    set_compute_capability = set_timing_cache = _accept

    def create_timing_cache(self, data: bytes) -> Any:
        return SimpleNamespace(serialize=lambda: b"")


class OnnxParser:
    def __init__(self, network: SimpleNamespace, logger: ILogger) -> None:
        self._network = network

    def parse(self, data: bytes) -> bool:
        self._network.plan = data
        return True


class Runtime:
    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self.engine_host_code_allowed = False

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        note(f"deserialize host_code={self.engine_host_code_allowed}")
        if fault() == "deserialize":
            self._logger.log(ILogger.WARNING, "a warning before it")
            self._logger.log(ILogger.ERROR, "Serialization assertion stdVersionRead == kSERIALIZATION_VERSION failed")
            return None
        if fault() == "memory":
            self._logger.log(ILogger.ERROR, "[allocate] Error Code 1: Cuda Runtime (out of memory)")
            return None
        assert plan.startswith(MAGIC), "not a plan of the stand-in"
        return Engine(plan[len(MAGIC) :])


class Engine(StandInEngine):
    """As ICudaEngine."""

    _contexts = 0

    def create_engine_inspector(self) -> Any:
        return SimpleNamespace(get_engine_information=lambda form: "{}")

    @property
    def num_io_tensors(self) -> int:
        return len(self.inputs) + len(self.outputs)

    def get_tensor_name(self, index: int) -> str:
        return [*self.inputs, *self.outputs][index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self.inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        if fault() == "dtype" and name in self.outputs:
            return DataType.HALF
        kinds = {"tensor(float)": DataType.FLOAT, "tensor(uint8)": DataType.UINT8}
        return kinds[(self.inputs | self.outputs)[name].type]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        shape = (self.inputs | self.outputs)[name].shape
        return tuple(size if isinstance(size, int) else -1 for size in shape)

    def create_runtime_config(self) -> SimpleNamespace:
        return SimpleNamespace(dynamic_shapes_kernel_specialization_strategy=None, cuda_graph_strategy=None)

    def create_execution_context(self, config: Any = None) -> StandInContext | None:
        strategies = [] if config is None else [value.name for value in vars(config).values()]
        note(f"context {' '.join(strategies)}".strip())
        self._contexts += 1
        if fault() == "context" or (fault() == "second context" and self._contexts > 1):
            return None
        return FailingContext(self) if fault() == "nan" else StandInContext(self)


class FailingContext(StandInContext):
    """Gives NaN for every pixel."""

    def _run(self, addresses: dict[str, int]) -> None:
        import ctypes

        super()._run(addresses)
        shape = self._shape(self._engine.outputs["probability"])
        count = int(np.prod(shape))
        np.ctypeslib.as_array((ctypes.c_float * count).from_address(addresses["probability"]))[:] = np.nan
