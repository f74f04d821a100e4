"""What edgeseg calls of TensorRT, with an ONNX file as the plan and ONNX Runtime as the engine: a stand-in.

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
import onnx
from standin_engine import StandInContext, StandInEngine

MAGIC = b"stand-in plan\n"
LEFT_OUT = "left out"


class ILogger:
    """As trt.ILogger: lower is worse."""

    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


TensorIOMode = enum.Enum("TensorIOMode", "NONE INPUT OUTPUT")
DataType = enum.Enum("DataType", "FLOAT HALF INT8 INT32 BOOL UINT8")
BuilderFlag = enum.Enum("BuilderFlag", "TF32 VERSION_COMPATIBLE STRIP_PLAN REFIT_IDENTICAL")
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
        return MAGIC + (without_weights(network.plan) if BuilderFlag.STRIP_PLAN in config.flags else network.plan)


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
    """As ICudaEngine. One without weights gives no context."""

    _contexts = 0

    def __init__(self, plan: bytes) -> None:
        super().__init__(plan)
        self.proto = onnx.load_model_from_string(plan)
        self.lacking = {entry.value for entry in self.proto.metadata_props if entry.key == LEFT_OUT}

    def take(self, weights: dict[str, onnx.TensorProto]) -> None:
        for tensor in self.proto.graph.initializer:
            if tensor.name in weights:
                tensor.CopyFrom(weights[tensor.name])
        StandInEngine.__init__(self, self.proto.SerializeToString())
        self.lacking = set()

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
        if self.lacking or fault() == "context" or (fault() == "second context" and self._contexts > 1):
            return None
        return FailingContext(self) if fault() == "nan" else StandInContext(self)


def without_weights(plan: bytes) -> bytes:
    """The network with the weights of its convolutions zeroed, and their names."""
    proto = onnx.load_model_from_string(plan)
    names = {name for node in proto.graph.node if node.op_type == "Conv" for name in node.input[1:]}
    for tensor in proto.graph.initializer:
        if tensor.name in names:
            values = onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros_like(values), tensor.name))
            proto.metadata_props.add(key=LEFT_OUT, value=tensor.name)
    return bytes(proto.SerializeToString())


class Refitter:
    def __init__(self, engine: Engine, logger: Any) -> None:
        if not engine.lacking:
            raise TypeError("factory function returned nullptr")
        self._engine, self._logger = engine, logger
        self.given: dict[str, onnx.TensorProto] = {}

    def get_all_weights(self) -> list[str]:
        return sorted(self._engine.lacking)

    def get_missing_weights(self) -> list[str]:
        return sorted(self._engine.lacking - self.given.keys())

    def refit_cuda_engine(self) -> bool:
        note("refit")
        if fault() == "refit":
            self._logger.log(ILogger.ERROR, "[refit.cpp] Error Code 1: Cuda Runtime (out of memory)")
            return False
        self._engine.take(self.given)
        return True


class OnnxParserRefitter:
    """By name, as the real one; a name that the network does not have is an error."""

    num_errors = 0

    def __init__(self, refitter: Refitter, logger: Any) -> None:
        self._refitter = refitter

    def refit_from_bytes(self, model: bytes) -> bool:
        wanted = set(self._refitter.get_all_weights())
        tensors = onnx.load_model_from_string(model).graph.initializer
        self._refitter.given = {tensor.name: tensor for tensor in tensors if tensor.name in wanted}
        return self._refitter.given.keys() == wanted


class FailingContext(StandInContext):
    """Gives NaN for every pixel."""

    def _run(self, addresses: dict[str, int]) -> None:
        import ctypes

        super()._run(addresses)
        shape = self._shape(self._engine.outputs["probability"])
        count = int(np.prod(shape))
        np.ctypeslib.as_array((ctypes.c_float * count).from_address(addresses["probability"]))[:] = np.nan
