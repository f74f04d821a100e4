"""Carries the sound of a video file to the clips made of it: its packets as they are, never decoded."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from edgeseg.optional import require


@dataclass(frozen=True, eq=False)
class SoundPacket:
    """A packet of compressed sound, and when it is heard, in the time of the frames beside it."""

    data: bytes
    pts: int
    """The time in units of `time_base`; below 0 if it begins before the first frame."""
    dts: int
    duration: int
    time_base: Fraction
    """The unit of time, in seconds."""

    @property
    def time_s(self) -> Fraction:
        """The time at which it is heard, in seconds."""
        return self.pts * self.time_base

    def for_stream(self, stream: Any) -> Any:
        """Make a packet of PyAV for a stream of an output."""
        packet: Any = require("av").Packet(self.data)
        packet.pts, packet.dts, packet.duration, packet.time_base = self.pts, self.dts, self.duration, self.time_base
        packet.is_keyframe, packet.stream = True, stream
        return packet


class Sound:
    """Hands on the sound of an open video file.

    Every clip that carries it begins to listen before the first frame is taken. A file interleaves sound and
    pictures, so the queues stay short.

    Args:
        stream: The audio stream of PyAV, open as long as the file is.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.is_whole = False
        """True if the file was read to its end."""
        self._early: list[SoundPacket] | None = []
        self._queues: list[deque[SoundPacket]] = []

    @property
    def codec(self) -> str:
        """The coding by FFmpeg's name, for example ``aac``."""
        return str(self.stream.codec_context.name)

    def listen(self) -> deque[SoundPacket]:
        """Return a queue into which every packet is put."""
        queue = deque(self._early or ())
        self._queues.append(queue)
        return queue

    def begin(self) -> None:
        """Note that frames are taken from now on: it is too late to begin to listen."""
        self._early = None

    def add(self, packet: SoundPacket) -> None:
        """Pass on one more packet that was read."""
        if self._early is not None:
            self._early.append(packet)
        for queue in self._queues:
            queue.append(packet)
