"""Pictures as an H.264 clip that keeps its source's frames, order and timestamps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.errors import BadInputError
from edgeseg.files import atomic_file
from edgeseg.optional import require
from edgeseg.runtime.video.encoder import PictureEncoder
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.sinks import unwritable
from edgeseg.runtime.video.source import ClipTiming, SourceFrame

if TYPE_CHECKING:
    from av.container import OutputContainer


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
        self._encoder: PictureEncoder | None = None

    def write(self, frame: SourceFrame, picture: Picture) -> None:
        """Encode one picture.

        Raises:
            BadInputError: Its size differs from the first one's: a clip has one size.
            UnwritableError: The file takes no more data.
        """
        size = (picture.height, picture.width)
        if self._encoder is None:
            self._size = size
            self._encoder = PictureEncoder(self._container, self._timing, picture)
        elif self._size != size:
            raise self._another_size(frame, *size)
        with self._write_errors():
            self._encoder.encode(picture, frame.pts, frame.time_base)

    def finish(self) -> None:
        """Flush the encoder and write the index; the file is whole then."""
        with self._write_errors():
            if self._encoder is not None:
                self._encoder.flush()
            self._container.close()

    def close(self) -> None:
        """Release the file; what is in it is of no use unless `finish` came before."""
        with contextlib.suppress(Exception):
            self._container.close()

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
