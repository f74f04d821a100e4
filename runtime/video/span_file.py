"""Gives the frames of one span of a video, those of the whole file and no others."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path
from typing import Any

from edgeseg.errors import EdgesegError
from edgeseg.optional import require
from edgeseg.runtime.video.container import open_container, packets_of
from edgeseg.runtime.video.cut_points import SEAM_FRAMES, Span
from edgeseg.runtime.video.decoder import ArrivedPacket, Decoded, PacketDecoder, facts_of
from edgeseg.runtime.video.deinterlace import Deinterlace
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import ClipTiming, SourceFrame

_DIGEST_BYTES = 8


class InexactSpanError(EdgesegError):
    """A span does not give the frames of the whole file, which must be read from its beginning to its end."""


class SpanFile(AbstractContextManager["SpanFile"]):
    """Gives the frames of one span. Their `index` counts within it, their `pts` are the stream's own.

    Args:
        path: The file that was cut.
        span: The span.
        deinterlace: When to deinterlace.

    Raises:
        BadInputError: The file holds no video that can be read. Iterating raises InexactSpanError where a picture
            lacks data, is deinterlaced, or is missing.
    """

    sound = None

    def __init__(self, path: Path, span: Span, deinterlace: Deinterlace = "auto") -> None:
        self._path, self._span = path, span
        self._container: Any = open_container(path)
        self._stream: Any = self._container.streams.best("video")
        self._facts = facts_of(self._container, self._stream, live=False)
        self._decoder = PacketDecoder(self._facts, deinterlace)
        self.head: list[str] = []
        """Hashes of the first `SEAM_FRAMES` pictures."""
        self.tail: list[str] = []
        """Hashes of as many pictures after the span, which are the head of the next one if both are right."""

    @property
    def frame_count(self) -> int:
        """The number of frames of the span."""
        return self._span.frames

    @property
    def timing(self) -> ClipTiming:
        """The time base, rate, colours and pixel shape."""
        return self._decoder.timing or ClipTiming(self._facts.time_base, self._facts.rate)

    @property
    def lost_frames(self) -> int:
        """The number of pictures so far that could not be decoded; frames() ends with an error where there is one."""
        return self._decoder.corrupt

    def frames(self) -> Iterator[SourceFrame]:
        """Yield every frame in order of presentation; one pass only.

        Raises:
            InexactSpanError: These are not the frames of the whole file.
        """
        span, count, started_ns = self._span, 0, time.monotonic_ns()
        for decoded in self._decoded():
            if decoded.pts is None or self._decoder.deinterlaces:
                raise self._inexact("a picture without a time, or one that is deinterlaced")
            if decoded.damaged:
                raise self._inexact(f"a damaged picture, {count} after the key frame")
            if span.end_pts is not None and decoded.pts >= span.end_pts:
                if span.seam_pts is None or decoded.pts < span.seam_pts:
                    self.tail.append(digest_of(decoded.picture))
                continue
            if count < SEAM_FRAMES:
                self.head.append(digest_of(decoded.picture))
            decoded_ns, base = time.monotonic_ns(), self._facts.time_base
            yield SourceFrame(count, started_ns, decoded_ns, decoded.pts, base, decoded.picture)
            count, started_ns = count + 1, time.monotonic_ns()
        if count != span.frames or self._decoder.corrupt:
            raise self._inexact(f"{count} pictures for {span.frames} packets")

    def _decoded(self) -> Iterator[Decoded]:
        try:
            for packet in islice(self._from_key_frame(), self._span.packets):
                yield from self._decoder.decode(ArrivedPacket(packet, time.monotonic_ns()))
        except require("av.error").FFmpegError as error:
            raise self._inexact(error.strerror or error) from error
        yield from self._decoder.flush()

    def _from_key_frame(self) -> Iterator[Any]:
        """Give the packets from the span's key frame on, which is sought, and looked for where that leads past it."""
        with contextlib.suppress(require("av.error").FFmpegError):  # a format without any way to seek
            self._container.seek(self._span.sought, stream=self._stream)
            if found := self._found():
                return found
        self._container.close()
        self._container = open_container(self._path)
        if found := self._found():
            return found
        raise self._inexact("its key frame is not found again")

    def _found(self) -> Iterator[Any] | None:
        """Read up to the key frame; None where it does not come."""
        span = self._span
        packets = (
            packet for packet in packets_of(self._container, self._container.streams.best("video")) if packet.size
        )
        for packet in packets:
            if packet.is_keyframe and packet.pts is not None and packet.pts >= span.first_pts:
                return chain([packet], packets) if packet.pts == span.first_pts else None
        return None

    def _inexact(self, found: object) -> InexactSpanError:
        return InexactSpanError(f"a part of {self._path} does not give the frames of the whole", found=found)

    def __exit__(self, *_: object) -> None:
        self._container.close()


def digest_of(picture: Picture) -> str:
    """Hash the samples of a picture."""
    samples = picture.bgr if picture.i420 is None else picture.i420
    return blake2b(samples.tobytes(), digest_size=_DIGEST_BYTES).hexdigest()
