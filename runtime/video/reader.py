"""A local video file, read to where it ends or breaks off: what whole-file runs and files at a live pace share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from typing import Any

from edgeseg.optional import require
from edgeseg.runtime.video.container import open_container, packets_of
from edgeseg.runtime.video.decoder import INDEXED, ArrivedPacket, Decoded, PacketDecoder, facts_of
from edgeseg.runtime.video.deinterlace import Deinterlace
from edgeseg.runtime.video.source import ClipTiming
from edgeseg.runtime.video.timestamps import SpliceClock

FORMATS_WITH_LENGTH = ("mp4", "matroska")
"""Containers whose header states how long the video is; others guess it from what is there."""
SOUND_STEP_S = Fraction(1, 50)
"""About what one packet of sound lasts."""


def ignore(packet: Any) -> None:
    """Take a packet of sound and do nothing."""


class FileReader(AbstractContextManager["FileReader"]):
    """Every picture that a file holds, damaged parts left out or patched.

    Timestamps are the file's own with discontinuities closed up. Nothing that is found in the file ends the reading
    with an error; `broken_off` says afterwards whether the file ended before its time.

    Args:
        path: The file.
        deinterlace: When combed pictures are made whole.
        on_sound: Is given the packets of the best sound stream, moved as the picture is.

    Raises:
        BadInputError: No video that can be read.
    """

    def __init__(self, path: Path, deinterlace: Deinterlace, on_sound: Callable[[Any], None] = ignore) -> None:
        self._container = open_container(path)
        self._stream: Any = self._container.streams.best("video")
        self.sound_stream: Any = self._container.streams.best("audio")
        """PyAV's; None where the file has none that it announces."""
        self._on_sound = on_sound
        may_jump = bool(self._container.format.flags & require("av.format").Flags.ts_discont.value)
        self.facts = facts_of(self._container, self._stream, live=False)
        self._decoder = PacketDecoder(self.facts, deinterlace)
        self._clock = SpliceClock(may_jump)
        self.packets = 0
        """Of the pictures, so far."""
        self.broken_off = ""
        """Why the file ends where it should not; empty where it is whole, as far as its packets tell."""
        self.sound_end_s = 0.0

    @property
    def frame_count(self) -> int | None:
        """What the header says; None where it does not."""
        return self._stream.frames or None

    @property
    def indexed_frames(self) -> int | None:
        """How many packets of pictures there are, by an index that counts each; None where the container has none."""
        return self.frame_count if INDEXED in self._container.format.name else None

    @property
    def timing(self) -> ClipTiming:
        """Time base, rate, colours and pixel shape; all known with the first picture."""
        return self._decoder.timing or ClipTiming(self.facts.time_base, self.facts.rate)

    @property
    def corrupt(self) -> int:
        """Packets that gave no picture."""
        return self._decoder.corrupt

    @property
    def announced_end_s(self) -> float | None:
        """When the header says that the video ends; None in formats that only guess."""
        if not any(name in self._container.format.name for name in FORMATS_WITH_LENGTH):
            return None
        if self._stream.duration is not None:
            return float(((self._stream.start_time or 0) + self._stream.duration) * self.facts.time_base)
        if self._container.duration is not None:
            return self._container.duration / 1e6  # Matroska counts from time 0, wherever the video starts
        return None

    def decoded(self) -> Iterator[Decoded]:
        """Every picture in order of presentation; one pass only."""
        errors, last = require("av.error"), None
        try:
            for packet in self._packets():
                if last is not None:
                    yield from self._decode(last, packet.is_keyframe)
                last = packet
        except errors.FFmpegError as error:
            self.broken_off = str(error.strerror or error)
        if last is not None:
            yield from self._decode(last, False)
            if last.is_corrupt and not self.broken_off:
                self.broken_off = "the last packet is incomplete"
        yield from self._decoder.flush()

    def _decode(self, packet: Any, key_frame_follows: bool) -> Iterator[Decoded]:
        """What a packet completes.

        Where one MPEG-TS file was put behind another, the last packet before counts as corrupt, for the counters in
        its headers do not go on. If a key frame follows, nothing rests on what may be missing there.
        """
        is_corrupt = packet.is_corrupt and not key_frame_follows
        return self._decoder.decode(ArrivedPacket(packet, time.monotonic_ns(), is_corrupt=is_corrupt))

    def _packets(self) -> Iterator[Any]:
        """The packets of the pictures in their place in time; those of the sound are passed on as they come."""
        streams = [stream for stream in (self._stream, self.sound_stream) if stream is not None]
        for packet in packets_of(self._container, *streams):
            if packet.size and packet.stream.type == "audio":
                self._hear(packet)
            elif packet.size:
                self.packets += 1
                self._clock.place(packet, 1 / self.facts.rate)
                yield packet

    def _hear(self, packet: Any) -> None:
        self._clock.place(packet, SOUND_STEP_S)
        if packet.pts is not None and packet.time_base is not None:
            self.sound_end_s = max(self.sound_end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            self._on_sound(packet)

    def close(self) -> None:
        """Let go of the file."""
        self._container.close()

    def __exit__(self, *_: object) -> None:
        self.close()
