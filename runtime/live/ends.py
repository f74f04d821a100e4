"""The two ends of a live stream, as the stream sees them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from edgeseg.runtime.live.live_values import Presented
from edgeseg.runtime.video.source import SourceFrame


class Frames(Protocol):
    """A source of frames; see `edgeseg.runtime.live.sources`."""

    @property
    def name(self) -> str:
        """The source's name, without secrets."""
        ...

    def frames(self) -> Iterator[SourceFrame]:
        """Frames as they come; the end is the end of the stream."""
        ...

    def status(self) -> Any:
        """A frozen dataclass."""
        ...

    def close(self) -> None:
        """End `frames`, from any thread."""
        ...


class Sink(Protocol):
    """Takes presented frames; see `edgeseg.runtime.live.sinks`.

    One may also have ``reopen()``, for new files, and ``cover(now_ns, change)``, asked ten times a second, for viewers
    who have no picture to see.
    """

    @property
    def name(self) -> str:
        """The sink's name."""
        ...

    def offer(self, presented: Presented) -> None:
        """Take it or drop it, at once."""
        ...

    def counts(self) -> Any:
        """A frozen dataclass."""
        ...

    def close(self, deadline_s: float) -> None:
        """Write what waits and make files whole, within the time."""
        ...
