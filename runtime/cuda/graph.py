"""A CUDA graph captured from a stream, whose first kernel may be given other parameters before each launch."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from edgeseg.errors import EdgesegError
from edgeseg.optional import require
from edgeseg.runtime.cuda.cuda_errors import checked


class CapturedGraph:
    """The work of a function on a stream, to be launched again as one piece.

    Args:
        stream: A pycuda stream with no capture under way.
        record: Launches the work, beginning with one kernel; it may allocate nothing and wait for nothing.

    Raises:
        CudaError: Something in `record` cannot be captured, or the graph does not begin with one kernel.
    """

    def __init__(self, stream: Any, record: Callable[[], None]) -> None:
        self._stream = stream
        self._driver = driver = require("cuda.bindings.driver")
        self._executable: Any = None
        self._graph: Any = _captured(driver, stream, record)
        try:
            self._first = self._first_node()
            instantiated = driver.cuGraphInstantiate(self._graph, 0)
            self._executable = checked(instantiated, "make the frame's graph executable")
        except BaseException:
            self.close()
            raise

    def first_kernel(self) -> Any:
        """The launch parameters of the first kernel (CUDA_KERNEL_NODE_PARAMS), without its argument.

        The argument comes back as pycuda gave it, one buffer (`extra`); a launch may not have that and `kernelParams`.
        """
        params = checked(self._driver.cuGraphKernelNodeGetParams(self._first), "read the first kernel's parameters")
        params.extra = params.kernelParams = 0
        return params

    def launch(self, first_kernel: Any, argument: ctypes.Structure) -> None:
        """Run it on its stream, its first kernel with another function or argument; nothing is waited for.

        Args:
            first_kernel: The `first_kernel` of this graph, or of a graph of another kernel of the same geometry.
            argument: The kernel's one parameter, copied by the driver.
        """
        address = ctypes.c_void_p(ctypes.addressof(argument))
        first_kernel.kernelParams = ctypes.addressof(address)
        driver = self._driver
        changed = driver.cuGraphExecKernelNodeSetParams(self._executable, self._first, first_kernel)
        checked(changed, "point the graph at the frame")
        checked(driver.cuGraphLaunch(self._executable, self._stream.handle), "launch the frame's graph")

    def close(self) -> None:
        """Destroy it; a lost context refuses, which changes nothing. Closing twice is fine."""
        if self._executable is not None:
            self._driver.cuGraphExecDestroy(self._executable)
        if self._graph is not None:
            self._driver.cuGraphDestroy(self._graph)
        self._executable = self._graph = self._stream = None

    def _first_node(self) -> Any:
        driver = self._driver
        _, count = checked(driver.cuGraphGetRootNodes(self._graph, 0), "read the frame's graph")
        roots, _ = checked(driver.cuGraphGetRootNodes(self._graph, count), "read the frame's graph")
        kinds = [checked(driver.cuGraphNodeGetType(root), "read the frame's graph").name for root in roots]
        if kinds != ["CU_GRAPH_NODE_TYPE_KERNEL"]:
            raise EdgesegError("the frame's graph does not begin with the preprocess kernel alone", found=kinds)
        return roots[0]


def _captured(driver: Any, stream: Any, record: Callable[[], None]) -> Any:
    mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    checked(driver.cuStreamBeginCapture(stream.handle, mode), "begin to capture the frame's graph")
    try:
        record()
    except BaseException:
        status, graph = driver.cuStreamEndCapture(stream.handle)
        if int(status) == 0:
            driver.cuGraphDestroy(graph)
        raise
    return checked(driver.cuStreamEndCapture(stream.handle), "capture the frame's graph")
