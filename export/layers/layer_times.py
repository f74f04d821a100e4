"""The time of each layer of a TensorRT engine, by IProfiler, on the GPU that executes it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from edgeseg.errors import BadInputError
from edgeseg.runtime.cuda.tensorrt_module import TensorRtModule, error_log

if TYPE_CHECKING:
    import tensorrt


def measured_ms(
    trt: TensorRtModule,
    engine: tensorrt.ICudaEngine,
    shapes: Mapping[str, tuple[int, ...]],
    address_of: Callable[[str], int],
    inferences: int = 20,
    warm_up: int = 3,
) -> dict[str, float]:
    """Execute an engine with a profiler on its context.

    A profiled inference is slower than a plain one: between layers it waits. Shares mean more than sums.

    Args:
        trt: The module that opened the engine.
        engine: The engine.
        shapes: Input name -> shape.
        address_of: Gives device memory for an input or output by name; its content does not matter.
        inferences: How many are timed; each layer's time is the median over them.
        warm_up: How many go before.

    Returns:
        Layer name -> ms. A layer that reports several times in one inference counts with their sum.

    Raises:
        BadInputError: The engine does not take these shapes, or does not run.
    """
    runs: list[dict[str, float]] = []
    context = engine.create_execution_context()
    for name, shape in shapes.items():
        if not context.set_input_shape(name, shape):
            raise BadInputError(f"the engine does not take {name} of shape {shape}", found=error_log(trt).take())
    context.profiler = watcher = _profiler(trt, runs)  # noqa: F841  it must outlive the runs
    addresses = [address_of(engine.get_tensor_name(index)) for index in range(engine.num_io_tensors)]
    for _ in range(warm_up + inferences):
        runs.append({})
        if not context.execute_v2(addresses):
            raise BadInputError("the engine does not run", found=error_log(trt).take())
    timed = runs[warm_up:]
    return {name: statistics.median(run.get(name, 0.0) for run in timed) for name in runs[-1]}


def _profiler(trt: TensorRtModule, runs: list[dict[str, float]]) -> tensorrt.IProfiler:
    """Adds each time to the last of `runs`."""
    if TYPE_CHECKING:
        from tensorrt import IProfiler
    else:
        IProfiler = trt.IProfiler  # noqa: N806

    class Profiler(IProfiler):  # type: ignore[misc]
        """Hands times on."""

        def __init__(self) -> None:
            IProfiler.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            runs[-1][layer_name] = runs[-1].get(layer_name, 0.0) + ms

    return Profiler()
