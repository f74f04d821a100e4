"""The part of a TensorRT engine that the runtime needs, so that a test may stand in for one."""

from __future__ import annotations

from typing import Protocol

from edgeseg.runtime.cuda.cuda_errors import LaunchRefusedError, StickyCudaError, sticky_code


class ExecutionContext(Protocol):
    """The part of TensorRT's IExecutionContext (10 and 11) that is used; a call that returns False has refused."""

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        """Fix a dynamic shape."""
        ...

    def set_tensor_address(self, name: str, memory: int) -> bool:
        """Say where an input or output lies on the device."""
        ...

    def execute_async_v3(self, stream_handle: int) -> bool:
        """Put an inference on a stream."""
        ...

    def why_refused(self) -> str:
        """The library's words on the last refusal; may be empty."""
        ...


class Deserialised(Protocol):
    """The part of TensorRT's ICudaEngine that is used."""

    def create_execution_context(self) -> ExecutionContext | None:
        """A context with its own activation memory; None where there is none for it."""
        ...


def execute(context: ExecutionContext, stream_handle: int) -> None:
    """Put an inference on a stream.

    Raises:
        LaunchRefusedError: The engine refused; it may be asked again.
        StickyCudaError: Nothing will run in this process any more.
    """
    if context.execute_async_v3(stream_handle):
        return
    if sticky := sticky_code():
        raise StickyCudaError("the engine found the GPU's context lost", found=f"CUDA error {sticky}")
    raise LaunchRefusedError(
        "the engine refused to run", found=context.why_refused() or None, expected="True from execute_async_v3"
    )
