"""The stand-in where no TensorRT runs: torch in FP16, channels last, as an engine and execution context for a lane.

Its kernels go to the lane's own stream and are captured into the lane's graph, as TensorRT's are. It is no TensorRT,
and every output says so.
"""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.gpu.frames import ArrayOnDevice
from benchmarks.gpu.network_from_onnx import network_from_onnx, probability_by
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.specs import INPUT_NAME, OUTPUT_NAME

NAME = "torch FP16 channels-last in a CUDA graph (a stand-in: no TensorRT)"
WARM_UPS = 3


def tensor_at(address: int, shape: tuple[int, ...], typestr: str) -> torch.Tensor:
    """Device memory that is not torch's as a tensor, without a copy."""
    return torch.as_tensor(ArrayOnDevice(address, shape, typestr), device="cuda")


class TorchEngine:
    """Stands in for ICudaEngine: the weights, once for all contexts."""

    def __init__(self, artifact: OnnxArtifact, device: str = "cuda") -> None:
        torch.backends.cudnn.benchmark = True
        self.model = artifact.metadata.model
        self.network = network_from_onnx(artifact, torch.float16).to(device)

    def create_execution_context(self) -> TorchContext:
        """One lane's."""
        return TorchContext(self)


class TorchContext:
    """Stands in for IExecutionContext."""

    def __init__(self, engine: TorchEngine) -> None:
        self._engine = engine
        self._addresses: dict[str, int] = {}
        self._bound: tuple[torch.Tensor, torch.Tensor] | None = None
        self._streams: dict[int, Any] = {}
        self._refusal = ""

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        """The network's own shape alone."""
        return name == INPUT_NAME and shape == (1, *self._engine.model.input_shape)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        """Bind input or output."""
        self._addresses[name] = memory
        self._bound = None
        return name in (INPUT_NAME, OUTPUT_NAME)

    def execute_async_v3(self, stream_handle: int) -> bool:
        """Put an inference on a stream; in the first on each, torch chooses its kernels and takes its memory."""
        try:
            self._execute(stream_handle)
        except RuntimeError as error:
            self._refusal = str(error)
            return False
        return True

    def why_refused(self) -> str:
        """Torch's words on the last refusal."""
        return self._refusal

    def _execute(self, stream_handle: int) -> None:
        warm_ups = 0 if stream_handle in self._streams else WARM_UPS
        stream = self._streams.setdefault(stream_handle, torch.cuda.ExternalStream(stream_handle))
        with torch.cuda.stream(stream):
            source, target = self._tensors()
            for _ in range(warm_ups + 1):
                target.copy_(probability_by(self._engine.network, source))

    def _tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        if self._bound is None:
            model = self._engine.model
            output_shape = (1, model.channels, model.height, model.width)
            source = tensor_at(self._addresses[INPUT_NAME], (1, *model.input_shape), "|u1")
            self._bound = source, tensor_at(self._addresses[OUTPUT_NAME], output_shape, "<f4")
        return self._bound
