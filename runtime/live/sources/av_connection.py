"""One connection to a camera or a server by PyAV: a thread reads, the caller decodes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edgeseg.optional import require
from edgeseg.runtime.live.credentials import without_credentials
from edgeseg.runtime.live.sources.contract import SourceOptions
from edgeseg.runtime.live.sources.faults import SourceFault, StreamEnded
from edgeseg.runtime.live.sources.packet_reader import PacketReader
from edgeseg.runtime.video.decoder import Decoded, PacketDecoder
from edgeseg.runtime.video.source import ClipTiming

if TYPE_CHECKING:
    from av.container import InputContainer

NO_PICTURE_S = 15.0
"""How long data may come before the first key frame: some encoders send one every 250 frames."""
NETWORK_PROTOCOLS = "rtsp,rtsps,rtp,udp,tcp,tls,http,https,httpproxy,crypto,hls,rtmp,rtmps,rtmpt,rtmpts,ffrtmphttp,srt"
"""The protocols that a server may lead to: a playlist of its may not name files of this machine."""
UDP_PACKETS = 32_768
"""Packets of 188 bytes that FFmpeg keeps (6 MB); what does not fit is lost, as on the wire."""
STANDARD_INPUT, STANDARD_INPUT_PROTOCOLS = "pipe:0", "pipe"
OpenContainer = Callable[[Any], "InputContainer"]
"""Opens a container; its argument is a PyAV HWAccel, or None for software."""


class AvConnection:
    """Gives the pictures of one connection.

    Args:
        open_container: Connects, with the hardware given.
        options: Timeouts, buffering, hardware.
    """

    def __init__(self, open_container: OpenContainer, options: SourceOptions) -> None:
        self._open_container = open_container
        self._options = options
        self._hardware_fault = ""
        self._reader = PacketReader(self._open, options.buffer_s, options.open_timeout_s, options.stall_s)
        self._decoder: PacketDecoder | None = None
        self._ready: deque[Decoded] = deque()
        self._heard_ns = self._seen_ns = self._started_ns = time.monotonic_ns()
        self.decoder_name = ""
        self._is_flushed = False

    @property
    def timing(self) -> ClipTiming | None:
        """The time base and rate; known once the first picture came."""
        return None if self._decoder is None else self._decoder.timing

    @property
    def arrival_is_time(self) -> bool:
        """True if the stream's own timestamps are made up."""
        return self._reader.makes_clock_up

    @property
    def corrupt(self) -> int:
        """The number of packets that gave no picture."""
        return 0 if self._decoder is None else self._decoder.corrupt

    @property
    def skipped(self) -> int:
        """The number of packets left out because the caller was too slow."""
        return self._reader.skipped

    def next_picture(self, wait_s: float) -> Decoded | None:
        """Wait for the next picture; None if none comes in time.

        Raises:
            SourceFault: The connection failed, ended or fell silent.
        """
        if self._ready:
            return self._ready.popleft()
        try:
            arrived = self._reader.take(wait_s)
        except StreamEnded:
            return self._last_picture()
        now_ns = time.monotonic_ns()
        if arrived is None:
            self._refuse_silence(now_ns)
            return None
        self._heard_ns = now_ns
        decoder = self._decoder = self._decoder or self._started()
        self._ready.extend(decoder.decode(arrived))
        if not self._ready:
            if now_ns - self._seen_ns > NO_PICTURE_S * 1e9:
                raise SourceFault(f"data come, but no picture of them can be decoded ({self.decoder_name})")
            return None
        self._seen_ns = now_ns
        return self._ready.popleft()

    def _last_picture(self) -> Decoded:
        """Take what the decoder held back.

        Raises:
            StreamEnded: It holds nothing more.
        """
        if self._decoder is not None and not self._is_flushed:
            self._is_flushed = True
            self._ready.extend(self._decoder.flush())
        if not self._ready:
            raise StreamEnded
        return self._ready.popleft()

    def close(self) -> None:
        """Let go of the device or server."""
        self._reader.close()

    def _refuse_silence(self, now_ns: int) -> None:
        """PyAV's own timeout comes first where FFmpeg heeds it; a driver that hangs is told here."""
        opening = self._reader.received == 0
        limit_s = self._options.stall_s + (2 * self._options.open_timeout_s if opening else 1.0)
        if now_ns - self._heard_ns > limit_s * 1e9:
            raise SourceFault(f"{'no answer' if opening else 'no data'} for {limit_s:g} s")

    def _started(self) -> PacketDecoder:
        facts = self._reader.facts
        assert facts is not None  # a packet came
        name, hardware = facts.codec.name, self._options.hardware
        if hardware == "off":
            self.decoder_name = name
        elif getattr(facts.codec, "is_hwaccel", False):
            self.decoder_name = f"{name} ({hardware})"
        else:
            self.decoder_name = f"{name} (software; {hardware}: {self._hardware_fault or 'not for this codec'})"
        return PacketDecoder(facts, self._options.deinterlace)

    def _open(self) -> InputContainer:
        """Open with the hardware that was asked for, else without: a missing device shows when opening."""
        if self._options.hardware == "off":
            return self._open_container(None)
        try:
            acceleration: Any = require("av.codec.hwaccel")
            return self._open_container(acceleration.HWAccel(self._options.hardware, allow_software_fallback=True))
        except Exception as error:
            container = self._open_container(None)  # fails likewise where the hardware was not the reason
            self._hardware_fault = without_credentials(getattr(error, "strerror", None) or error)
            return container


def open_network(url: str, options: SourceOptions, hardware: Any = None) -> InputContainer:
    """Connect to a server by RTSP, HTTP, RTMP or SRT, or listen to a port for UDP.

    FFmpeg holds back what it probes, a second at most, and UDP packets that are out of order, 0.1 s at most. What was
    probed comes at once and is soon worked off; its flag ``nobuffer`` would throw it away with the first key frame.
    """
    settings = {
        "protocol_whitelist": NETWORK_PROTOCOLS,
        "analyzeduration": "1000000",
        "probesize": "1000000",
        "max_delay": "100000",
    }
    if url.lower().startswith("rtsp"):
        settings["rtsp_transport"] = options.rtsp_transport
    if url.lower().startswith("udp"):
        settings |= {"overrun_nonfatal": "1", "fifo_size": str(UDP_PACKETS)}
    container: InputContainer = require("av").open(
        url,
        options=settings,
        timeout=(options.open_timeout_s, options.stall_s),
        metadata_errors="replace",
        **({} if hardware is None else {"hwaccel": hardware}),
    )
    return container


def open_standard_input(options: SourceOptions, hardware: Any = None) -> InputContainer:
    """Read a container from standard input: MPEG-TS, Matroska, FLV, MJPEG and what else needs no seeking."""
    container: InputContainer = require("av").open(
        STANDARD_INPUT,
        options={"protocol_whitelist": STANDARD_INPUT_PROTOCOLS, "analyzeduration": "1000000", "probesize": "1000000"},
        metadata_errors="replace",
        **({} if hardware is None else {"hwaccel": hardware}),
    )
    return container


def open_camera(device: str, options: SourceOptions, hardware: Any = None) -> InputContainer:
    """Open a V4L2 camera, for example ``/dev/video0``.

    FFmpeg keeps the camera's own planes and the driver's timestamps, where OpenCV gives BGR and neither.
    """
    settings = {}
    if options.size is not None:
        settings["video_size"] = f"{options.size[0]}x{options.size[1]}"
    if options.rate is not None:
        settings["framerate"] = f"{options.rate.numerator}/{options.rate.denominator}"
    if options.camera_format is not None:
        settings["input_format"] = options.camera_format
    container: InputContainer = require("av").open(
        device,
        format="video4linux2",
        options=settings,
        timeout=(options.open_timeout_s, options.stall_s),
        metadata_errors="replace",
        **({} if hardware is None else {"hwaccel": hardware}),
    )
    return container
