"""The network alone on batches: one stream with its engine context and memory for the largest batch.

Pictures come at the network's size, and probabilities go back: for many frames at once that somebody has already
brought to that size. A lane (lane.py) is the way of a frame.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any

from edgeseg.errors import EdgesegError
from edgeseg.optional import require
from edgeseg.runtime.cuda.buffers import device_buffer, pinned_array
from edgeseg.runtime.cuda.cuda_errors import translated
from edgeseg.runtime.cuda.execution import ExecutionContext, execute
from edgeseg.runtime.engine.session import FrameBatch, ProbabilityBatch
from edgeseg.specs import INPUT_NAME, OUTPUT_NAME, ModelSpec

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: not ordered with the legacy stream


class BatchLane:
    """Batches of up to `largest` pictures, one batch at a time; all memory is allocated at once.

    Args:
        context: A context of the engine that belongs to this lane alone.
        model: The network.
        largest: Batch.

    Raises:
        EdgesegError: The engine does not take so large a batch.
        CudaError: Something was refused; nothing stays allocated.
    """

    def __init__(self, context: ExecutionContext, model: ModelSpec, largest: int) -> None:
        self._context, self._model, self._batch = context, model, 0
        self._pycuda = pycuda = require("pycuda.driver")
        pictures = (largest, *model.input_shape)
        results = (largest, model.channels, model.height, model.width)
        with contextlib.ExitStack() as stack:
            stack.callback(self._let_go)
            with translated("make a stream"):
                self._stream: Any = pycuda.Stream(_NON_BLOCKING)
            self._host_input = pinned_array(stack, pictures, "uint8", "a batch")
            self._host_output = pinned_array(stack, results, "float32", "a batch's result")
            self._input = device_buffer(stack, math.prod(pictures), "a batch")
            self._output = device_buffer(stack, 4 * math.prod(results), "a batch's result")
            self._bind(largest)
            self._host_input[...] = 0
            self.infer(self._host_input)  # an engine may allocate and choose in its first run
            self._resources = stack.pop_all()

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        """Run the network on uint8 [n,h,w,3] RGB, n at most `largest`: float32 [n,C,h,w], the caller's own.

        Raises:
            CudaError: The driver or the engine refused; the next batch may be taken.
            StickyCudaError: Nothing will run in this process any more.
        """
        count, pycuda = len(frames), self._pycuda
        if count != self._batch:
            self._take(count)
        self._host_input[:count] = frames
        with translated("run the engine"):
            pycuda.memcpy_htod_async(self._input, self._host_input[:count], self._stream)
            execute(self._context, self._stream.handle)
            pycuda.memcpy_dtoh_async(self._host_output[:count], self._output, self._stream)
            self._stream.synchronize()
        return self._host_output[:count].copy()

    def close(self) -> None:
        """Give everything back; closing twice is fine."""
        self._resources.close()

    def _bind(self, largest: int) -> None:
        self._take(largest)
        agreed = (
            self._context.set_tensor_address(INPUT_NAME, self._input),
            self._context.set_tensor_address(OUTPUT_NAME, self._output),
        )
        if not all(agreed):
            raise EdgesegError("the engine refuses its input and output buffers", found=f"input, output: {agreed}")

    def _take(self, count: int) -> None:
        self._batch = 0
        if not self._context.set_input_shape(INPUT_NAME, (count, *self._model.input_shape)):
            raise EdgesegError(
                f"the engine does not take a batch of {count}", found=self._context.why_refused() or "no reason given"
            )
        self._batch = count

    def _let_go(self) -> None:
        """Let go of what ends with its last reference while the GPU's context is still current."""
        self._stream = None
        del self._context
