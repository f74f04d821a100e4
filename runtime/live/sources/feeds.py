"""Video files and folders of images as feeds of a paced source."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgeseg.errors import BadInputError
from edgeseg.images import read_rgb
from edgeseg.optional import require
from edgeseg.runtime.live.sources.contract import SourceOptions
from edgeseg.runtime.live.sources.decoder import ArrivedPacket, Decoded, PacketDecoder, facts_of, packets_of
from edgeseg.runtime.live.sources.paced import FeedFrame
from edgeseg.runtime.video.files import IMAGES_FPS
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import ClipTiming


class FileFeed:
    """A video file; damaged parts are left out or patched and counted, as a live stream's would be.

    Args:
        path: The file.
        options: Whether to deinterlace.
    """

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self._path = path
        self._deinterlace = options.deinterlace
        self._timing: ClipTiming | None = None
        self.decoder_name = ""
        self.corrupt = 0

    @property
    def timing(self) -> ClipTiming:
        """Of the file."""
        if self._timing is None:
            raise ValueError("no frame came yet")
        return self._timing

    def frames(self) -> Iterator[FeedFrame]:
        """Every frame of one pass."""
        count = 0
        for decoded in self._decoded():
            count += 1
            picture = decoded.picture
            yield FeedFrame(decoded.pts, lambda picture=picture: picture, decoded.damaged)  # type: ignore[misc]
        if not count:
            raise self._unreadable("it holds no frame that can be decoded")

    def _decoded(self) -> Iterator[Decoded]:
        av: Any = require("av")
        try:  # the prefix keeps a colon in the name from being read as a protocol
            container = av.open(f"file:{self._path}", metadata_errors="replace", options={"protocol_whitelist": "file"})
        except (av.FFmpegError, OSError) as error:
            raise self._unreadable(getattr(error, "strerror", None) or error) from error
        with container:
            stream = container.streams.best("video")
            if stream is None or stream.codec_context is None:
                raise self._unreadable("it holds no video stream")
            facts = facts_of(stream, "AUTO")
            self.decoder_name = facts.codec.name
            decoder, before = PacketDecoder(facts, self._deinterlace), self.corrupt
            for packet in chain(_readable(container, stream), [None]):
                yield from self._pictures(decoder, packet)
                self.corrupt = before + decoder.corrupt

    def _pictures(self, decoder: PacketDecoder, packet: Any) -> list[Decoded]:
        """Of one packet; of what the decoder still holds at the end."""
        pictures = decoder.flush() if packet is None else decoder.decode(ArrivedPacket(packet, time.monotonic_ns()))
        self._timing = self._timing or decoder.timing
        return pictures

    def _unreadable(self, found: object) -> BadInputError:
        return BadInputError(
            f"{self._path} is no video that can be read",
            found=found,
            expected="a video file (MP4, MKV, AVI, MOV, TS, ...)",
            next_command="copy the file again; a recording that was not closed lacks its index",
        )


class ImageFeed:
    """Images of any mix of sizes, sorted by name; one that cannot be read is left out and counted.

    Args:
        paths: The files, at least one.
        options: The rate.

    Raises:
        BadInputError: The first cannot be read.
    """

    decoder_name = "images"

    def __init__(self, paths: Sequence[Path], options: SourceOptions) -> None:
        read_rgb(paths[0])
        self._paths = paths
        rate = options.rate or Fraction(IMAGES_FPS)
        self.timing = ClipTiming(1 / rate, rate)
        self.corrupt = 0

    def frames(self) -> Iterator[FeedFrame]:
        """Every image of one pass."""
        count = 0
        for index, path in enumerate(self._paths):
            try:
                rgb = read_rgb(path)
            except BadInputError:
                self.corrupt += 1
                continue
            count += 1
            yield FeedFrame(index, lambda rgb=rgb: _picture(rgb))  # type: ignore[misc]
        if not count:
            raise BadInputError("none of the images can be read any more", found=str(self._paths[0].parent))


def _picture(rgb: Any) -> Picture:
    return Picture.of_bgr(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), dtype=np.uint8)).planar()


def _readable(container: Any, stream: Any) -> Iterator[Any]:
    """The packets up to where the file ends or breaks off."""
    packets = packets_of(container, stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, require("av.error").FFmpegError):
            return
        if packet.size:
            yield packet
