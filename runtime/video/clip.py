"""Pictures as an H.264 clip that keeps its source's frames, order and timestamps."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.errors import BadInputError
from edgeseg.files import atomic_file
from edgeseg.optional import require
from edgeseg.runtime.video.encoder import PictureEncoder
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.sinks import unwritable
from edgeseg.runtime.video.sound import Sound, SoundPacket
from edgeseg.runtime.video.source import ClipTiming, SourceFrame

if TYPE_CHECKING:
    from av.container import OutputContainer

MAX_CLIP_SIDE = 16384
"""The longest side that x264 encodes, in pixels."""
SOUND_IN_MP4 = ("aac", "mp3", "mp2", "ac3", "eac3", "alac", "opus", "flac", "pcm_s", "pcm_f")
"""The beginnings of the names of codings that FFmpeg writes into MP4 without further options."""


class ClipSink:
    """Encodes pictures into an MP4 file. `finish` makes it whole; `close` gives it up where it is not.

    Args:
        file: Where the bytes go.
        timing: The source's timing.
        shown_path: The name to use in messages, where `file` is a temporary one.
        sound: The sound beside the pictures, in a coding that MP4 holds; it is copied as it is.
    """

    def __init__(
        self, file: Path, timing: ClipTiming, shown_path: Path | None = None, sound: Sound | None = None
    ) -> None:
        self._path = shown_path or file
        self._timing = timing
        self._size: tuple[int, int] | None = None
        # Without its own movie timescale MP4 would round the first frame's time to milliseconds.
        options = {"movflags": "+faststart", "movie_timescale": str(timing.time_base.denominator)}
        with self._write_errors():
            self._container: OutputContainer = require("av").open(f"file:{file}", "w", format="mp4", options=options)
        self._encoder: PictureEncoder | None = None
        self._sound = sound
        self._heard: deque[SoundPacket] = deque() if sound is None else sound.listen()
        self._sound_stream: Any = None
        self._end_s = Fraction(0)

    def write(self, frame: SourceFrame, picture: Picture) -> None:
        """Encode one picture.

        Raises:
            BadInputError: The size of the picture differs from the first one's, for a clip has one size, or H.264 has
                no such size.
            UnwritableError: No more data can be written to the file.
        """
        size = (picture.height, picture.width)
        if self._encoder is None:
            _refuse_too_large(frame, *size)
            self._size = size
            self._encoder = PictureEncoder(self._container, self._timing, picture)
            if self._sound is not None:
                self._sound_stream = self._container.add_stream_from_template(self._sound.stream)
        elif self._size != size:
            raise self._another_size(frame, *size)
        self._end_s = frame.pts * frame.time_base + 1 / self._timing.rate
        with self._write_errors():
            self._write_sound(frame.pts * frame.time_base)
            self._encoder.encode(picture, frame.pts, frame.time_base)

    def finish(self) -> None:
        """Flush the encoder and write the index, after which the file is whole."""
        with self._write_errors():
            if self._encoder is not None:
                self._write_sound(None if self._sound is None or self._sound.is_whole else self._end_s)
                self._encoder.flush()
            self._container.close()

    def close(self) -> None:
        """Release the file; it is of no use unless `finish` was called before."""
        with contextlib.suppress(Exception):
            self._container.close()

    def _write_sound(self, until_s: Fraction | None) -> None:
        """Copy the sound that belongs to the pictures so far; all of it if no time is given."""
        while self._heard and (until_s is None or self._heard[0].time_s < until_s):
            self._container.mux(self._heard.popleft().for_stream(self._sound_stream))

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


def _refuse_too_large(frame: SourceFrame, height: int, width: int) -> None:
    if max(height, width) > MAX_CLIP_SIDE:
        raise BadInputError(
            f"{frame.name} is too large for a clip",
            found=f"{width}x{height}",
            expected=f"at most {MAX_CLIP_SIDE} pixels a side",
            next_command="leave --out away and ask for --masks, or cut the picture up",
        )


def sound_left_out(sound: Sound) -> str:
    """Say why a clip is written without the sound; empty if the sound is copied."""
    return "" if sound.codec.startswith(SOUND_IN_MP4) else f"MP4 does not hold {sound.codec}"


@contextlib.contextmanager
def clip(path: Path, timing: ClipTiming, sound: Sound | None = None) -> Iterator[ClipSink]:
    """Make a clip that appears at `path` when the block ends well; with sound if MP4 holds its coding."""
    with atomic_file(path) as temporary:
        carried = None if sound is None or sound_left_out(sound) else sound
        sink = ClipSink(temporary, timing, shown_path=path, sound=carried)
        try:
            yield sink
            sink.finish()
        finally:
            sink.close()
