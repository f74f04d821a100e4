"""Pictures as an H.264 clip that keeps its source's frames, order and timestamps.

4:2:0 needs even sizes, so an odd width or height gains one column or row, a copy of the last. 4:4:4 would
keep the size, but browsers and hardware decoders do not play it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from edgeseg.errors import BadInputError, MissingComponentError
from edgeseg.files import atomic_file
from edgeseg.frames import Frame
from edgeseg.optional import require
from edgeseg.runtime.stream.sinks import unwritable
from edgeseg.runtime.stream.sources import ClipTiming, SourceFrame

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

ENCODER = "libx264"
ENCODER_OPTIONS = {"preset": "ultrafast", "crf": "20", "bf": "0"}
"""Without B-frames decoding order is presentation order, so timestamps pass through untouched."""
SMPTE170M = 6
"""AVCOL_SPC_SMPTE170M: the BT.601 matrix, which OpenCV's I420 conversion applies."""
LIMITED_RANGE = 1
"""AVCOL_RANGE_MPEG."""


class ClipSink:
    """Encodes pictures into an MP4 file. `finish` makes it whole; `close` gives it up where it is not.

    Args:
        file: Where the bytes go.
        timing: Of the source.
        shown_path: The name for messages, where `file` is a temporary one.
    """

    def __init__(self, file: Path, timing: ClipTiming, shown_path: Path | None = None) -> None:
        self._path = shown_path or file
        self._timing = timing
        self._size: tuple[int, int] | None = None
        # Without its own movie timescale MP4 would round the first frame's time to milliseconds.
        options = {"movflags": "+faststart", "movie_timescale": str(timing.time_base.denominator)}
        with self._write_errors():
            self._container: OutputContainer = require("av").open(f"file:{file}", "w", format="mp4", options=options)
        self._stream: VideoStream | None = None

    def write(self, frame: SourceFrame, picture: Frame) -> None:
        """Encode one picture, uint8 [H,W,3] BGR.

        Raises:
            BadInputError: Its size differs from the first one's: a clip has one size.
            UnwritableError: The file takes no more data.
        """
        height, width = picture.shape[:2]
        if self._size is None:
            self._size = (height, width)
            self._stream = self._add_stream(height + height % 2, width + width % 2)
        elif self._size != (height, width):
            raise self._another_size(frame, height, width)
        encoded = require("av").VideoFrame.from_ndarray(_i420(picture), format="yuv420p")
        encoded.pts, encoded.time_base = frame.pts, frame.time_base
        self._encode(encoded)

    def finish(self) -> None:
        """Flush the encoder and write the index; the file is whole then."""
        if self._stream is not None:
            self._encode(None)
        with self._write_errors():
            self._container.close()

    def close(self) -> None:
        """Release the file; what is in it is of no use unless `finish` came before."""
        with contextlib.suppress(Exception):
            self._container.close()

    def _add_stream(self, height: int, width: int) -> VideoStream:
        av = require("av")
        try:
            stream: Any = self._container.add_stream(ENCODER, rate=self._timing.rate, options=dict(ENCODER_OPTIONS))
        except (ValueError, av.FFmpegError) as error:
            raise MissingComponentError(
                f"this build of PyAV has no encoder {ENCODER}",
                found=error,
                next_command="pip install av, or leave --out away",
            ) from error
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.time_base = self._timing.time_base
        context.sample_aspect_ratio = self._timing.sample_aspect_ratio
        if self._timing.states_matrix:
            context.colorspace, context.color_range = SMPTE170M, LIMITED_RANGE
        return stream  # type: ignore[no-any-return]

    def _encode(self, frame: Any) -> None:
        assert self._stream is not None
        with self._write_errors():
            for packet in self._stream.encode(frame):
                self._container.mux(packet)

    @contextlib.contextmanager
    def _write_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unwritable(self._path, error) from error

    def _another_size(self, frame: SourceFrame, height: int, width: int) -> BadInputError:
        first_height, first_width = self._size or (0, 0)
        return BadInputError(
            f"{frame.name} has another size than the frames before it, and a clip has one size",
            found=f"{width}x{height}",
            expected=f"{first_width}x{first_height}",
            next_command="give --out a folder (a name without .mp4), or leave it away",
        )


@contextlib.contextmanager
def clip(path: Path, timing: ClipTiming) -> Iterator[ClipSink]:
    """A clip that appears at `path` when the block ends well."""
    with atomic_file(path) as temporary:
        sink = ClipSink(temporary, timing, shown_path=path)
        try:
            yield sink
            sink.finish()
        finally:
            sink.close()


def _i420(picture: Frame) -> Any:
    """BGR to planar YUV 4:2:0 (BT.601, limited range), padded to even sizes; much faster than swscale's."""
    height, width = picture.shape[:2]
    if height % 2 or width % 2:
        picture = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)  # type: ignore[assignment]
    return cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
