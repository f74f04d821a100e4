"""Sound on its way from a video file to the clips made of it: the packets as they are, decoded by nobody."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from edgeseg.optional import require


@dataclass(frozen=True, eq=False)
class SoundPacket:
    """Compressed sound and when it is heard, in the time of the frames beside it."""

    data: bytes
    pts: int
    """In units of `time_base`; below 0 where it begins before the first frame."""
    dts: int
    duration: int
    time_base: Fraction
    """Seconds."""

    @property
    def time_s(self) -> Fraction:
        """When it is heard."""
        return self.pts * self.time_base

    def for_stream(self, stream: Any) -> Any:
        """A packet of PyAV for a stream of an output."""
        packet: Any = require("av").Packet(self.data)
        packet.pts, packet.dts, packet.duration, packet.time_base = self.pts, self.dts, self.duration, self.time_base
        packet.is_keyframe, packet.stream = True, stream
        return packet


class Sound:
    """The sound of an open video file.

    Every clip that carries it listens, from before the first frame is taken. A file interleaves sound with its
    pictures, so the queues stay short.

    Args:
        stream: PyAV's audio stream, open as long as the file is.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.is_whole = False
        """Whether the file was read to its end."""
        self._early: list[SoundPacket] | None = []
        self._queues: list[deque[SoundPacket]] = []

    @property
    def codec(self) -> str:
        """FFmpeg's name of its coding, for example ``aac``."""
        return str(self.stream.codec_context.name)

    def listen(self) -> deque[SoundPacket]:
        """A queue that every packet is put into."""
        queue = deque(self._early or ())
        self._queues.append(queue)
        return queue

    def begin(self) -> None:
        """Frames are taken from now on: nobody can begin to listen any more."""
        self._early = None

    def add(self, packet: SoundPacket) -> None:
        """One more packet was read."""
        if self._early is not None:
            self._early.append(packet)
        for queue in self._queues:
            queue.append(packet)
