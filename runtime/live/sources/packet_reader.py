"""A thread that empties a connection as fast as data come, so that no lag builds up in the kernel or in FFmpeg."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgeseg.optional import require
from edgeseg.runtime.live.sources.faults import SourceFault, StreamEnded, fault_of
from edgeseg.runtime.video.container import packets_of
from edgeseg.runtime.video.decoder import ArrivedPacket, VideoFacts, facts_of

if TYPE_CHECKING:
    from av.container import InputContainer

WAITING_BYTES = 64 * 2**20
"""Most undecoded data to keep; if more comes, all is dropped and the reader waits for a key frame."""
_NEARLY = 0.95
COUNTED = {"image2", "image2pipe", "rawvideo", "yuv4mpegpipe"}
"""Formats that give a rate instead of times although they lack the flag that says so."""
logger = logging.getLogger(__name__)


def makes_clock_up(container_format: Any) -> bool:
    """Tell whether a format of PyAV carries no timestamps: MJPEG over HTTP, raw H.264, single images."""
    names = set(container_format.name.split(","))
    no_timestamps = bool(container_format.flags & require("av.format").Flags.no_timestamps.value)
    return no_timestamps or bool(names & COUNTED) or any(name.endswith("_pipe") for name in names)


class PacketReader:
    """Opens a container and reads it, both in a thread of its own: the caller can leave at any time.

    Data are stamped as they come. Where the caller falls behind by more than `buffer_s`, everything up to the newest
    key frame is left out.

    Args:
        open_container: Connects; may block for seconds.
        buffer_s: See above.
        open_timeout_s: How long opening waits for an answer; for the message.
        stall_s: How long reading waits for data; for the message.
    """

    def __init__(
        self, open_container: Callable[[], InputContainer], buffer_s: float, open_timeout_s: float, stall_s: float
    ) -> None:
        self._open_container = open_container
        self._buffer_ns = round(buffer_s * 1e9)
        self._open_timeout_s, self._stall_s = open_timeout_s, stall_s
        self._heard_ns = time.monotonic_ns()
        self._changed = threading.Condition()
        self._packets: deque[ArrivedPacket] = deque()
        self._bytes = 0
        self._gap = self._closed = False
        self._fault: SourceFault | None = None
        self.facts: VideoFacts | None = None
        """The facts of the stream; set before its first packet."""
        self.makes_clock_up = False
        """True if the container has no timestamps, so that FFmpeg counts frames at a rate that it assumes."""
        self.received = self.skipped = 0
        """How many packets came, and how many of them were left out."""
        self._thread = threading.Thread(target=self._run, name="edgeseg-packets", daemon=True)
        self._thread.start()

    def take(self, wait_s: float) -> ArrivedPacket | None:
        """Wait for the oldest packet; None if none comes in time.

        Raises:
            SourceFault: The connection failed or ended, and every packet before that was taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._packets or self._fault, wait_s)
            if self._packets:
                taken = self._packets.popleft()
                self._bytes -= taken.packet.size
                return taken
            if self._fault is not None:
                raise self._fault
            return None

    def close(self, wait_s: float = 0.3) -> None:
        """Stop; a thread that a driver or FFmpeg blocks is not waited for, and ends when it comes back."""
        with self._changed:
            self._closed = True
            self._packets.clear()
        self._thread.join(wait_s)

    def _run(self) -> None:
        container: Any = None
        try:
            container = self._open_container()
            self._read(container)
            self._fail(StreamEnded())
        except SourceFault as fault:
            self._fail(fault)
        except Exception as error:
            self._fail(self._silence() or fault_of(error))
        finally:
            if container is not None:
                container.close()

    def _read(self, container: Any) -> None:
        stream = container.streams.best("video")
        if stream is None:
            kinds = ", ".join(sorted({entry.type for entry in container.streams})) or "nothing"
            raise SourceFault(f"the stream holds no video ({kinds})", is_permanent=True)
        if stream.codec_context is None:
            raise SourceFault("no decoder for the stream's codec", is_permanent=True)
        self._heard_ns = time.monotonic_ns()
        if container.streams.audio:
            logger.info("the sound of the source is left out")
        self.makes_clock_up = makes_clock_up(container.format)
        self.facts = facts_of(container, stream, live=True)
        for packet in packets_of(container, stream):
            if self._closed:
                return
            if packet.size:
                self._add(packet)

    def _silence(self) -> SourceFault | None:
        """Tell a timeout by how long it took: FFmpeg has many names for it, invalid data among them."""
        opening = self.facts is None
        limit_s = self._open_timeout_s if opening else self._stall_s
        if time.monotonic_ns() - self._heard_ns < _NEARLY * limit_s * 1e9:
            return None
        return SourceFault(f"{'no answer' if opening else 'no data'} for {limit_s:g} s")

    def _add(self, packet: Any) -> None:
        with self._changed:
            self._heard_ns = time.monotonic_ns()
            self.received += 1
            self._bytes += packet.size
            self._packets.append(ArrivedPacket(packet, self._heard_ns, self._gap))
            self._gap = False
            self._leave_out()
            self._changed.notify_all()

    def _leave_out(self) -> None:
        """Drop what precedes the newest key frame if the oldest is too old, everything if it is too much."""
        newest = self._packets[-1]
        if newest.packet.is_keyframe and newest.arrived_ns - self._packets[0].arrived_ns > self._buffer_ns:
            self.skipped += len(self._packets) - 1
            self._packets.clear()
            self._packets.append(replace(newest, after_gap=True))
            self._bytes = newest.packet.size
        elif self._bytes > WAITING_BYTES:
            self.skipped += len(self._packets)
            self._packets.clear()
            self._bytes, self._gap = 0, True

    def _fail(self, fault: SourceFault) -> None:
        with self._changed:
            self._fault = fault
            self._changed.notify_all()
