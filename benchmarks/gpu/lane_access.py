"""The only place of these benchmarks that reaches into a session: its lanes' graphs, buffers and streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgeseg.runtime.cuda.cuda_engine import CudaEngine
from edgeseg.runtime.cuda.kernels.parameters import FrameLayout, preprocess_params


class LaneAccess:
    """The idle lane of a session that takes its next frame.

    Args:
        session: A session with no frame under way.
    """

    def __init__(self, session: CudaEngine) -> None:
        lane: Any = session._idle[0]
        self._lane = lane
        self._model = session.info.model
        self.stream = lane._stream
        self.buffers = lane._buffers

    def graph_launch(self, source: int, width: int, height: int) -> Callable[[], None]:
        """Launches the whole frame's graph on a BGR frame that lies on the device; nothing is waited for.

        Args:
            source: The frame's device address.
            width: The frame's width in pixels.
            height: The frame's height in pixels.
        """
        layout = FrameLayout("bgr24", width, height, 3 * width)
        model, buffers, lane = self._model, self.buffers, self._lane
        first_kernel = lane._first_kernels["bgr24"]

        def launch() -> None:
            params = preprocess_params(
                layout, model.width, model.height, source=source, target=buffers.network_input, area=buffers.area
            )
            lane._graph.launch(first_kernel, params)

        return launch
