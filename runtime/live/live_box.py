"""The streams of a box and the engine that they share: run side by side, ended together, files first."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from edgeseg.runtime.live.live_stream import LiveStream
from edgeseg.runtime.live.rollout.roll_out import RollOut
from edgeseg.runtime.live.shared_engine import SharedEngine
from edgeseg.runtime.live.status import LiveStatus

logger = logging.getLogger(__name__)
_LOOK_S = 0.1
_FRESH_S = 1.0
"""A stream that was watched this long ago can show frames."""
_END_S = 5.0


class LiveBox:
    """Runs streams until all have ended.

    A source that ends or fails ends its own stream. A stream that can no longer show frames ends all, as only a new
    start of the process brings it back.

    Args:
        engine: The engine, which the streams were made with; the box ends it.
        streams: The streams.
        on_tick: Called a few times a second while streams run, each of which can show frames.
        roll_out: The way of a new engine onto the screen.
    """

    def __init__(
        self,
        engine: SharedEngine,
        streams: Sequence[LiveStream],
        on_tick: Callable[[], None] | None = None,
        roll_out: RollOut | None = None,
    ) -> None:
        self.engine, self.streams, self._roll_out = engine, tuple(streams), roll_out
        self._on_tick = on_tick
        self._errors: list[BaseException] = []
        self._threads = {
            stream: threading.Thread(target=self._run, args=(stream,), name=f"edgeseg-watch {stream.name}", daemon=True)
            for stream in self.streams
        }

    def stop(self) -> None:
        """Ask for the end, from any thread or a signal handler; `run` then returns."""
        for stream in self.streams:
            stream.stop()

    def reopen_sinks(self) -> None:
        """Begin new files, so that the old ones can be moved away; from a signal handler too."""
        for stream in self.streams:
            stream.reopen_sinks()

    def run(self) -> list[LiveStatus]:
        """Run until every stream has ended.

        Returns:
            The last status of each stream; its counters are of the whole stream.

        Raises:
            EdgesegError: The first that ended a stream; files are whole all the same.
        """
        self.engine.start()
        for thread in self._threads.values():
            thread.start()
        try:
            while running := [stream for stream, thread in self._threads.items() if thread.is_alive()]:
                time.sleep(_LOOK_S)
                self._look(running)
        finally:
            self.stop()
            for thread in self._threads.values():
                thread.join()
            if self._roll_out is not None:
                self._roll_out.stop(_END_S)
            self.engine.stop(_END_S)
        if self._errors:
            raise self._errors[0]
        return [stream.status() for stream in self.streams]

    def _look(self, running: Sequence[LiveStream]) -> None:
        now_ns = time.monotonic_ns()
        watched = [stream for stream in running if not stream.is_ending]
        is_fresh = all(now_ns - stream.watched_ns < _FRESH_S * 1e9 for stream in watched)
        if self._on_tick is not None and watched and is_fresh:
            self._on_tick()
        if self._roll_out is not None:
            self._roll_out.look()
        if not all(stream.can_show for stream in self.streams):
            self.stop()

    def _run(self, stream: LiveStream) -> None:
        try:
            stream.run()
        except BaseException as error:
            self._errors.append(error)
            if len(self.streams) > 1:
                logger.error("%s: the stream has ended: %s", stream.name, str(error).splitlines()[0])
