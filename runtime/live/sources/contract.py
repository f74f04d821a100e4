"""The interface of every live source, its options and its status."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol

from edgeseg.runtime.video.deinterlace import Deinterlace
from edgeseg.runtime.video.source import ClipTiming, SourceFrame

SourceState = Literal["connecting", "connected", "reconnecting", "ended"]
"""``connecting``: no picture came yet; ``connected``: pictures come; ``reconnecting``: they came and may come
again; ``ended``: the source was closed, is at its end, or was given up."""
LIVE_TIME_BASE = Fraction(1, 90_000)
"""The unit of live timestamps, in seconds: RTP's clock for video, a multiple of all usual frame rates."""


@dataclass(frozen=True)
class SourceStatus:
    """The state of a source at one moment."""

    state: SourceState
    reconnects: int = 0
    """How many connections after the first one brought pictures."""
    last_error: str = ""
    """The latest fault, for a person; without passwords."""
    damaged: int = 0
    """Frames whose missing parts the decoder patched with guesses."""
    corrupt: int = 0
    """Packets (images of a folder) that gave no picture and were left out."""
    skipped: int = 0
    """Packets or frames left out because the reader was too slow for them."""
    height: int = 0
    """The height of the latest frame; 0 before the first."""
    width: int = 0
    decoder: str = ""
    """The decoder, for example ``h264``; names the hardware asked for, or says why it is not used."""


@dataclass(frozen=True)
class SourceOptions:
    """The options of a live source; each source ignores those that it has no use for."""

    size: tuple[int, int] | None = None
    """Width and height in pixels, for cameras and the synthetic camera; None leaves it to them."""
    rate: Fraction | None = None
    """The frame rate of cameras, image folders and the synthetic camera; None leaves it to them."""
    loop: bool = False
    """True if files and folders start again at their end."""
    deinterlace: Deinterlace = "auto"
    """``auto`` deinterlaces where the stream says that it is interlaced; ``on`` every frame."""
    hardware: str = "off"
    """The device that decodes, for example ``cuda``; software decodes if it fails."""
    camera_format: str | None = None
    """The format to ask a V4L2 camera for, such as ``mjpeg`` or ``yuyv422``; None leaves it to the driver."""
    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    open_timeout_s: float = 5.0
    """A connection without an answer for this long counts as failed."""
    stall_s: float = 3.0
    """A connection without data, or without a decodable picture, for this long counts as lost."""
    attempts: int = 60
    """How many connections in a row may fail before a source that was connected once is given up."""
    first_attempts: int = 3
    """How many may fail before the first picture: few, so that a wrong address is reported within seconds."""
    gives_up: bool = True
    """False tries without end, whatever the fault: beside other streams, which a source that is away must not end."""
    first_pause_s: float = 0.5
    longest_pause_s: float = 10.0
    buffer_s: float = 0.5
    """Undecoded data older than this are skipped up to the newest key frame."""


class LiveSource(Protocol):
    """Gives frames as they come. One thread iterates; any thread may call `status` and `close`."""

    @property
    def name(self) -> str:
        """The source as the user typed it, without passwords."""
        ...

    @property
    def is_live(self) -> bool:
        """True if the end of the source is a fault."""
        ...

    @property
    def timing(self) -> ClipTiming:
        """The time base and rate; known once the first frame came.

        Raises:
            ValueError: None came yet.
        """
        ...

    def status(self) -> SourceStatus:
        """The state of the source now."""
        ...

    def frames(self) -> Iterator[SourceFrame]:
        """Yield every frame once; blocks until one comes.

        Raises:
            SourceLostError: It could not be opened, or not again within its bounds.
            BadInputError: A file or folder holds no picture.
        """
        ...

    def close(self) -> None:
        """Make `frames` end within a second."""
        ...
