"""Deinterlaces pictures by FFmpeg's bwdif: one out for one in, a frame later."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from edgeseg.optional import require

if TYPE_CHECKING:
    import av

T = TypeVar("T")
Deinterlace = Literal["auto", "on", "off"]
"""``auto``: where the stream says that it is interlaced; ``on``: every frame; ``off``: never."""


class Deinterlacer(Generic[T]):
    """Passes frames on until the stream says that one is interlaced; from then on all go through the filter.

    Args:
        mode: ``auto``, ``on`` (even if the stream does not say that it is interlaced) or ``off``.
    """

    def __init__(self, mode: Deinterlace) -> None:
        self._mode = mode
        self._graph: Any = None
        self._form: tuple[int, int, str] | None = None
        self._waiting: deque[tuple[av.VideoFrame, T]] = deque()

    @property
    def is_active(self) -> bool:
        """True while frames go through the filter, which looks at a frame's neighbours."""
        return self._graph is not None

    def push(self, frame: av.VideoFrame, note: T) -> list[tuple[av.VideoFrame, av.VideoFrame, T]]:
        """Take a frame and give what is ready.

        Args:
            frame: The decoded frame.
            note: Whatever belongs to the frame.

        Returns:
            The frame to show, the decoded frame that it was made of, and the note of that one.
        """
        if self._mode == "off" or (self._graph is None and self._mode == "auto" and not frame.interlaced_frame):
            return [(frame, frame, note)]
        form = (frame.width, frame.height, frame.format.name)
        done = self.flush() if form != self._form else []
        if self._graph is None:
            self._graph, self._form = self._built(frame), form
        self._waiting.append((frame, note))
        self._graph.vpush(frame)
        return done + self._pulled()

    def flush(self) -> list[tuple[av.VideoFrame, av.VideoFrame, T]]:
        """Return the frames that are still inside; the filter starts over."""
        if self._graph is None:
            return []
        self._graph.vpush(None)
        done = self._pulled()
        self._graph, self._form = None, None
        self._waiting.clear()
        return done

    def _pulled(self) -> list[tuple[av.VideoFrame, av.VideoFrame, T]]:
        errors: Any = require("av.error")
        done = []
        while self._waiting:
            try:
                picture = self._graph.vpull()
            except (errors.BlockingIOError, errors.EOFError):
                break
            frame, note = self._waiting.popleft()
            done.append((picture, frame, note))
        return done

    def _built(self, frame: av.VideoFrame) -> Any:
        graph: Any = require("av.filter").Graph()
        which = "all" if self._mode == "on" else "interlaced"
        source = graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=frame.time_base or Fraction(1, 90_000),
        )
        graph.link_nodes(
            source, graph.add("bwdif", f"mode=send_frame:deint={which}"), graph.add("buffersink")
        ).configure()
        return graph
