"""Pictures into an H.264 stream of a container, with the planes, matrix, range and times that they came with.

4:2:0 needs even sizes, so an odd width or height gains one column or row, a copy of the last. 4:4:4 would
keep the size, but browsers and hardware decoders do not play it.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from edgeseg.errors import MissingComponentError
from edgeseg.optional import require
from edgeseg.runtime.video.picture import AVCOL_SPC, FULL, LIMITED, Picture
from edgeseg.runtime.video.source import ClipTiming

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

ENCODER = "libx264"
ENCODER_OPTIONS = {"preset": "ultrafast", "qp": "22", "bf": "0", "me_range": "4"}
"""The encoder's options, with a constant quantiser: this preset has neither look-ahead nor adaptive
quantisation, so `crf` would give nearly the same bytes and quality, but pay for an estimate of every frame (a
quarter of the encoder's time). The preset's diamond search goes no further than 4 pixels. Without B-frames
decoding order is presentation order, so timestamps pass through untouched."""
PIXELS_PER_THREAD = 1920 * 1080
MAX_THREADS = 4


class PictureEncoder:
    """Encodes one video stream of an open container.

    Args:
        container: The container, which must take H.264.
        timing: The source's timing.
        first: A picture like those that will come: its size, matrix and range become the stream's.
        options: The encoder's options.

    Raises:
        MissingComponentError: This build of PyAV has no encoder.
    """

    def __init__(
        self, container: OutputContainer, timing: ClipTiming, first: Picture, options: dict[str, str] | None = None
    ) -> None:
        av = require("av")
        try:
            stream: Any = container.add_stream(ENCODER, rate=timing.rate, options=dict(options or ENCODER_OPTIONS))
        except (ValueError, av.FFmpegError) as error:
            raise MissingComponentError(
                f"this build of PyAV has no encoder {ENCODER}",
                found=error,
                next_command="pip install av, or leave --out away",
            ) from error
        height, width = first.height + first.height % 2, first.width + first.width % 2
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.time_base = timing.time_base
        context.sample_aspect_ratio = timing.sample_aspect_ratio
        # Fewer threads than FFmpeg would take: each costs processor time, and one encodes HD faster than it comes.
        context.thread_count = min(MAX_THREADS, 1 + height * width // PIXELS_PER_THREAD)
        _describe_colours(context, timing, first)
        self._container = container
        self._stream: VideoStream = stream

    def encode(self, picture: Picture, pts: int, time_base: Fraction, key_frame: bool = False) -> None:
        """Encode one picture of the first one's size.

        Args:
            picture: The picture to show.
            pts: When to show it, in units of `time_base`.
            time_base: The unit of `pts`, in seconds.
            key_frame: True makes it a key frame, wherever the encoder would have put its next one.

        Raises:
            OSError: No more data can be written to the container.
        """
        frame = picture.planar().video_frame()
        frame.pts, frame.time_base = pts, time_base
        if key_frame:
            frame.pict_type = require("av").video.frame.PictureType.I
        self._mux(frame)

    def flush(self) -> None:
        """Write the packets that the encoder holds back."""
        self._mux(None)

    def _mux(self, frame: Any) -> None:
        for packet in self._stream.encode(frame):
            self._container.mux(packet)


def _describe_colours(context: Any, timing: ClipTiming, picture: Picture) -> None:
    """Leave the matrix unnamed if the source names none: players guess both alike."""
    planar = picture.planar()
    if planar.full_range:
        context.color_range = FULL
    if timing.states_matrix:
        context.colorspace = AVCOL_SPC[planar.matrix]
        context.color_range = FULL if planar.full_range else LIMITED
        if hasattr(context, "color_primaries"):  # PyAV before 16 has none
            context.color_primaries, context.color_trc = timing.primaries, timing.transfer
