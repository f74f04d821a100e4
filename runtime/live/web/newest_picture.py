"""The newest picture for browsers: encoded once, for as many as look; a slow one leaves pictures out."""

from __future__ import annotations

import asyncio
import struct

import cv2

from edgeseg.runtime.live.live_values import Presented
from edgeseg.runtime.video.picture import Picture

JPEG_QUALITY = 80
MAX_WIDTH = 1280
HEADER = struct.Struct(">IIff")
"""The header before a JPEG: frame index, frame width in pixels, and two times in milliseconds; see `header_of`."""


class PictureFeed:
    """A sink that keeps the newest picture and tells those who wait for one.

    Args:
        loop: The server's loop.
    """

    name = "page"

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._arrived = asyncio.Event()
        self._newest: Presented | None = None
        self._encoded: tuple[int, bytes] = (-1, b"")
        """Frame index and JPEG."""
        self._encoding = asyncio.Lock()

    def offer(self, presented: Presented) -> None:
        """Keep a picture; from any thread."""
        self._newest = presented
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._arrived.set)

    async def after(self, index: int, timeout_s: float) -> tuple[Presented, bytes] | None:
        """The newest picture and its JPEG, once it is not frame `index`; None where none came in time."""
        try:
            await asyncio.wait_for(self._another(index), timeout_s)
        except asyncio.TimeoutError:
            return None
        assert self._newest is not None
        newest = self._newest
        return newest, await self._jpeg(newest)

    async def _another(self, index: int) -> None:
        while self._newest is None or self._newest.frame.index == index:
            self._arrived.clear()
            await self._arrived.wait()

    async def _jpeg(self, presented: Presented) -> bytes:
        async with self._encoding:
            if self._encoded[0] != presented.frame.index:
                self._encoded = (presented.frame.index, await asyncio.to_thread(encode_jpeg, presented.overlay))
            return self._encoded[1]


def header_of(presented: Presented, heard_ns: int, now_ns: int) -> bytes:
    """Make the header of a JPEG, so that a browser knows how late it draws: its clock and ours are strangers.

    The first time is how long ago the picture was shown. The second is how long ago the browser was last heard: what it
    waited beyond that was the way there and back, which is the most that the picture can have taken.

    Args:
        presented: The picture.
        heard_ns: When the browser's last word came, by `time.monotonic_ns`.
        now_ns: The moment of sending.
    """
    held_ms, quiet_ms = (now_ns - presented.presented_ns) / 1e6, (now_ns - heard_ns) / 1e6
    return HEADER.pack(presented.frame.index & 0xFFFFFFFF, presented.overlay.width, held_ms, quiet_ms)


def encode_jpeg(picture: Picture, max_width: int = MAX_WIDTH, quality: int = JPEG_QUALITY) -> bytes:
    """A picture as JPEG, at most so wide."""
    bgr = picture.bgr
    if picture.width > max_width:
        height = round(picture.height * max_width / picture.width)
        bgr = cv2.resize(bgr, (max_width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, quality))[1].tobytes()


def encode_png(picture: Picture) -> bytes:
    """A picture as PNG at its own size."""
    return cv2.imencode(".png", picture.bgr)[1].tobytes()
