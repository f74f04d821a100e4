"""What every live source is and says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol

from edgeseg.runtime.video.deinterlace import Deinterlace
from edgeseg.runtime.video.source import ClipTiming, SourceFrame

SourceState = Literal["connecting", "connected", "reconnecting", "ended"]
"""No picture came yet; pictures come; they came and will again; closed, at its end or given up."""
LIVE_TIME_BASE = Fraction(1, 90_000)
"""Of the timestamps of live sources, in seconds: RTP's clock for video, a multiple of all usual frame rates."""


@dataclass(frozen=True)
class SourceStatus:
    """What a source says of itself at one moment."""

    state: SourceState
    reconnects: int = 0
    """Connections that brought pictures after the first one."""
    last_error: str = ""
    """Of the latest fault, for a person; without passwords."""
    damaged: int = 0
    """Frames whose missing parts the decoder patched with guesses."""
    corrupt: int = 0
    """Packets (images of a folder) that gave no picture and were left out."""
    skipped: int = 0
    """Packets or frames left out because the reader was too slow for them."""
    height: int = 0
    """Of the latest frame; 0 before the first."""
    width: int = 0
    decoder: str = ""
    """What decodes, for example ``h264``; names the hardware, or why it is not used, where it was asked for."""


@dataclass(frozen=True)
class SourceOptions:
    """What a user may choose; what a source has no use for is ignored."""

    size: tuple[int, int] | None = None
    """Width and height in pixels, for cameras and the synthetic camera; None leaves it to them."""
    rate: Fraction | None = None
    """Frames a second, for cameras, image folders and the synthetic camera."""
    loop: bool = False
    """Files and folders begin anew at their end."""
    deinterlace: Deinterlace = "auto"
    """``auto``: where the stream says that it is interlaced; ``on``: every frame."""
    hardware: str = "off"
    """A device that PyAV decodes with, for example ``cuda``; where it fails, software decodes."""
    camera_format: str | None = None
    """What a V4L2 camera is asked for, for example ``mjpeg`` or ``yuyv422``; None leaves it to the driver."""
    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    open_timeout_s: float = 5.0
    """Without an answer for so long, a connection counts as failed."""
    stall_s: float = 3.0
    """Without data, or without a decodable picture, for so long, a connection counts as lost."""
    attempts: int = 60
    """Connections in a row that may fail before a source that was connected once is given up."""
    first_attempts: int = 3
    """The same before the first picture: a wrong address is said within seconds."""
    first_pause_s: float = 0.5
    longest_pause_s: float = 10.0
    buffer_s: float = 0.5
    """Undecoded data older than this are left out up to the newest key frame."""


class LiveSource(Protocol):
    """Frames as they come. One thread iterates; `status` and `close` are for any thread."""

    @property
    def name(self) -> str:
        """What the user typed, without passwords."""
        ...

    @property
    def is_live(self) -> bool:
        """Whether its end is a fault."""
        ...

    @property
    def timing(self) -> ClipTiming:
        """Time base and rate; known once the first frame came.

        Raises:
            ValueError: None came yet.
        """
        ...

    def status(self) -> SourceStatus:
        """How it stands."""
        ...

    def frames(self) -> Iterator[SourceFrame]:
        """Every frame, once; blocks until one comes.

        Raises:
            SourceLostError: It could not be opened, or not again within its bounds.
            BadInputError: A file or folder holds no picture.
        """
        ...

    def close(self) -> None:
        """End `frames` within a second."""
        ...
