"""What the runtime needs of a TensorRT engine, so that a test may stand in for one."""

from __future__ import annotations

from typing import Protocol


class ExecutionContext(Protocol):
    """As TensorRT's IExecutionContext (10 and 11); a call that returns False has refused."""

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
        """What the library said of the last refusal; may be empty."""
        ...


class Engine(Protocol):
    """As TensorRT's ICudaEngine."""

    def create_execution_context(self) -> ExecutionContext | None:
        """A context with its own activation memory; None where there is none for it."""
        ...
