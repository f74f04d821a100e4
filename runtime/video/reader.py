"""Reads a local video file to where it ends or breaks off, for runs and for files at a live pace."""

from __future__ import annotations

import time
from collections import deque
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
LOOK_AHEAD = 2
"""How many packets are read ahead; see `FileReader._decode`."""
SOUND_STEP_S = Fraction(1, 50)
"""The usual length of a packet of sound, roughly."""
TOLERATED_FRAMES = 3
"""How many frames a header may be off without the file counting as cut off."""
SOUND_PADDING_S = 0.5
"""How much the stated length of sound may exceed the real one: it is written in blocks with a lead-in."""


def ignore(packet: Any) -> None:
    """Take a packet of sound and do nothing."""


class FileReader(AbstractContextManager["FileReader"]):
    """Reads every picture that a file holds; damaged parts are left out or patched.

    Timestamps are the file's own with discontinuities closed up. Whatever is in the file, reading it raises
    no error; `broken_off` says afterwards whether the file ended before its time.

    Args:
        path: The file.
        deinterlace: When to deinterlace.
        on_sound: Called with each packet of the best sound stream, moved in time as the picture is.

    Raises:
        BadInputError: The file holds no video that can be read.
    """

    def __init__(self, path: Path, deinterlace: Deinterlace, on_sound: Callable[[Any], None] = ignore) -> None:
        self._container = open_container(path)
        self._stream: Any = self._container.streams.best("video")
        self.sound_stream: Any = self._container.streams.best("audio")
        """The sound stream of PyAV; None if the file announces none."""
        self._on_sound = on_sound
        may_jump = bool(self._container.format.flags & require("av.format").Flags.ts_discont.value)
        self.facts = facts_of(self._container, self._stream, live=False)
        self._decoder = PacketDecoder(self.facts, deinterlace)
        self._clock = SpliceClock(may_jump)
        self.packets = 0
        """The number of packets of pictures so far."""
        self.broken_off = ""
        """The reason why the file ends too early; empty if it is whole, as far as its packets tell."""
        self.sound_end_s = 0.0

    @property
    def frame_count(self) -> int | None:
        """The number of frames in the header; None if it states none."""
        return self._stream.frames or None

    @property
    def indexed_frames(self) -> int | None:
        """The number of packets of pictures by an index that counts each; None if there is no index."""
        return self.frame_count if INDEXED in self._container.format.name else None

    @property
    def timing(self) -> ClipTiming:
        """The time base, rate, colours and pixel shape; all known once the first picture came."""
        return self._decoder.timing or ClipTiming(self.facts.time_base, self.facts.rate)

    @property
    def corrupt(self) -> int:
        """The number of packets that gave no picture."""
        return self._decoder.corrupt

    @property
    def announced_end_s(self) -> float | None:
        """The end of the video by its header; None in formats that only guess."""
        if not any(name in self._container.format.name for name in FORMATS_WITH_LENGTH):
            return None
        if self._stream.duration is not None:
            return float(((self._stream.start_time or 0) + self._stream.duration) * self.facts.time_base)
        if self._container.duration is not None:
            return self._container.duration / 1e6  # Matroska counts from time 0, wherever the video starts
        return None

    @property
    def is_spliced(self) -> bool:
        """True if a discontinuity was closed up so far."""
        return self._clock.has_moved

    @property
    def missing_packets(self) -> int:
        """The number of packets that the index counts and that did not come; final at the end of the file."""
        return max(0, (self.indexed_frames or 0) - self.packets)

    def ends_early(self, count: int, end_s: float) -> bool:
        """Tell whether the file lacks its end: it stops early and lacks frames of its index; either may be harmless.

        Args:
            count: The number of frames that came.
            end_s: The end of the last of them.
        """
        announced_s, announced = self.announced_end_s, self.frame_count
        if announced_s is None:
            return False
        few_s = float(TOLERATED_FRAMES / self.facts.rate) + (SOUND_PADDING_S if self.sound_end_s else 0.0)
        too_short = max(end_s, self.sound_end_s) + few_s < announced_s
        return too_short and (announced is None or count + self.corrupt + TOLERATED_FRAMES < announced)

    def decoded(self) -> Iterator[Decoded]:
        """Yield every picture in order of presentation; one pass only."""
        waiting: deque[Any] = deque()
        try:
            for packet in self.placed():
                waiting.append(packet)
                if len(waiting) > LOOK_AHEAD:
                    yield from self._decode(waiting.popleft(), waiting)
        except require("av.error").FFmpegError as error:
            self.broken_off = str(error.strerror or error)
        if waiting and waiting[-1].is_corrupt and not self.broken_off:
            self.broken_off = "the last packet is incomplete"
        while waiting:
            yield from self._decode(waiting.popleft(), waiting)
        yield from self._decoder.flush()

    def _decode(self, packet: Any, following: deque[Any]) -> Iterator[Decoded]:
        """Yield the pictures that a packet completes.

        Where one MPEG-TS file was appended to another, one of the first one's last packets counts as corrupt,
        because the counters in the headers do not continue. If a key frame follows, no picture depends on
        what may be missing there.
        """
        if packet.is_corrupt and any(later.is_keyframe for later in following):
            packet.is_corrupt = False  # FFmpeg would call its picture corrupt unseen
        return self._decoder.decode(ArrivedPacket(packet, time.monotonic_ns()))

    def placed(self) -> Iterator[Any]:
        """Yield the packets of the pictures at their place in time, undecoded; pass those of the sound on.

        Raises:
            av.FFmpegError: The file breaks off.
        """
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
        """Close the file."""
        self._container.close()

    def __exit__(self, *_: object) -> None:
        self.close()
