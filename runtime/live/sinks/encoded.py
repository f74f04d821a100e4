"""Frames as H.264: fragmented MP4 files and streams to an address, one writer for both."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import stat
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from edgeseg.errors import UsageError
from edgeseg.optional import require
from edgeseg.runtime.live.credentials import without_credentials
from edgeseg.runtime.live.live_values import Presented
from edgeseg.runtime.live.protocols import refuse_missing_srt
from edgeseg.runtime.video.encoder import ENCODER_OPTIONS, PictureEncoder
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import ClipTiming

if TYPE_CHECKING:
    from av.container import OutputContainer

View = Literal["raw", "overlay"]
Timing = Callable[[], ClipTiming]
"""Asked once the first frame is there: a live source does not know earlier."""
KEY_FRAME_S = 1.0
"""A viewer who joins waits so long, and a power cut costs so much of a recording. By timestamps or by the clock,
whichever comes first: a rate that a source states is a rumour."""
SHORTEST_S = 0.001
"""Between two frames; RTMP counts in milliseconds."""
NEVER_BY_COUNT = str(2**30)
"""libx264's infinity: no key frame after so many frames."""
FRAGMENTS = "frag_keyframe+empty_moov+default_base_moof"
FORMAT_OF = {"rtsp": "rtsp", "rtmp": "flv", "rtmps": "flv", "srt": "mpegts", "udp": "mpegts", "tcp": "mpegts"}
HLS_OPTIONS = {
    "hls_time": "1",
    "hls_list_size": "6",
    "hls_flags": "delete_segments+append_list+independent_segments+program_date_time",
}


class Target(Protocol):
    """Somewhere that encoded frames go; asked for a new container at first and after each change of size."""

    def open(self, timing: ClipTiming) -> OutputContainer:
        """A container for what comes next."""
        ...

    def settle(self) -> None:
        """A group of pictures has been written: make it safe."""
        ...

    def close(self) -> None:
        """The container has ended, or none was opened; `open` may be asked again."""
        ...


class EncodedWriter:
    """Encodes one view of the frames; another size, matrix or range starts another container.

    Args:
        target: The file or URL to write to.
        timing: The source's timing.
        view: The pictures as they came, or with the overlay.
    """

    def __init__(self, target: Target, timing: Timing, view: View) -> None:
        self._target = target
        self._timing = timing
        self._view = view
        self._container: OutputContainer | None = None
        self._encoder: PictureEncoder | None = None
        self._kind: tuple[object, ...] = ()
        self._first_pts = self._last_pts = self._last_ns = self._key_pts = self._key_ns = 0
        self._frames = 0

    def write(self, presented: Presented) -> None:
        """Encode a frame."""
        picture = (presented.overlay if self._view == "overlay" else presented.frame.picture).planar()
        kind = (picture.height, picture.width, picture.matrix, picture.full_range, presented.frame.time_base)
        if kind != self._kind:
            self.close()
            self._start(picture)
            self._kind = kind
        assert self._encoder is not None
        pts = self._continued(presented)
        is_key = self._is_key_frame_due(pts, presented)
        self._encoder.encode(picture, pts, presented.frame.time_base, is_key)
        if self._frames and is_key:  # it brought the group before it out
            self._target.settle()
        if is_key:
            self._key_pts, self._key_ns = pts, presented.presented_ns
        self._last_pts, self._last_ns = pts, presented.presented_ns
        self._frames += 1

    def _continued(self, presented: Presented) -> int:
        """The frame's time in the container; one that is not after the last is put where the clock is.

        A cover may be ahead of what the source gives next: of frames that come late and at once, and are soon through,
        or of a source whose own time stood still, which the clock has to lead from then on.
        """
        frame = presented.frame
        if not self._frames:
            self._first_pts = frame.pts
        pts = frame.pts - self._first_pts
        if not self._frames or pts > self._last_pts:
            return pts
        passed_s = (presented.presented_ns - self._last_ns) / 1e9
        return self._last_pts + max(1, round(max(passed_s, SHORTEST_S) / frame.time_base))

    def _is_key_frame_due(self, pts: int, presented: Presented) -> bool:
        stated_s = (pts - self._key_pts) * presented.frame.time_base
        passed_s = (presented.presented_ns - self._key_ns) / 1e9
        return not self._frames or stated_s >= KEY_FRAME_S or passed_s >= KEY_FRAME_S

    def close(self) -> None:
        """End the container."""
        container, encoder = self._container, self._encoder
        self._container = self._encoder = None
        self._kind = ()
        with contextlib.ExitStack() as last:  # each is done whatever fails before it: a full disk fails them all
            last.callback(self._target.close)
            if container is None:
                return
            last.callback(self._target.settle)
            last.callback(container.close)
            if encoder is not None:
                encoder.flush()

    def _start(self, picture: Picture) -> None:
        timing = self._timing()
        self._container = self._target.open(timing)
        options = {**ENCODER_OPTIONS, "tune": "zerolatency", "g": NEVER_BY_COUNT}
        self._encoder = PictureEncoder(self._container, timing, picture, options)
        self._frames = 0


class Recording:
    """Fragmented MP4 files: what was written before a power cut can be played. A `Target`.

    The first is NAME.mp4, the next NAME-001.mp4; a file that exists is never written over. One that is moved away while
    it grows goes on growing where it is now, up to its end.

    Args:
        path: NAME.mp4.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: _WholeWrites | None = None

    def open(self, timing: ClipTiming) -> OutputContainer:
        """Start the next file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self.close()
        self._file = _WholeWrites(self._free_name(), "wb")
        options = {
            "movflags": FRAGMENTS,
            "flush_packets": "1",
            "movie_timescale": str(timing.time_base.denominator),
        }
        # Not by name: where not even the header can be written, PyAV never closes what it opened itself.
        container: OutputContainer = require("av").open(self._file, "w", format="mp4", options=options)
        container.metadata["creation_time"] = datetime.now(timezone.utc).isoformat()
        return container

    def settle(self) -> None:
        """Bring the file's bytes to the disk: a power cut takes what lies in the page cache."""
        if self._file is not None:
            self._file.whole_bytes = self._file.tell()
            os.fdatasync(self._file.fileno())

    def close(self) -> None:
        """Let go of the file; one that holds nothing is taken away: a full disk would leave one at every try."""
        file, self._file = self._file, None
        if file is None:
            return
        with file, contextlib.suppress(OSError):  # moved away meanwhile
            state, path = os.fstat(file.fileno()), Path(file.name)
            is_empty = stat.S_ISREG(state.st_mode) and not state.st_size
            if is_empty and os.path.samestat(state, path.stat()):
                path.unlink()

    def _free_name(self) -> Path:
        for number in itertools.count():
            name = self._path.name if not number else f"{self._path.stem}-{number:03d}{self._path.suffix}"
            path = self._path.with_name(name)
            with contextlib.suppress(FileExistsError):
                path.touch(exist_ok=False)
                return path
        raise AssertionError("there is always a next number")


class _WholeWrites(io.FileIO):
    """A file that takes all that it is given or raises; a disk that is nearly full takes a part and says so.

    Then it ends behind its last whole fragment, and takes nothing more: readers refuse a recording, however long, whose
    last fragment ends within its header.
    """

    whole_bytes = 0
    """The end of the last whole fragment."""
    _failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        if self._failure is not None:
            raise self._failure
        rest = memoryview(data).cast("B")
        try:
            while rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self._failure = error
            with contextlib.suppress(OSError):  # no regular file
                self.truncate(self.whole_bytes)
            raise
        return len(data)


class Publication:
    """A stream to an address, or an HLS playlist in a folder. A `Target`.

    Args:
        url: ``rtsp://``, ``rtmp://``, ``srt://``, ``udp://`` or ``tcp://``, or FOLDER/NAME.m3u8.

    Raises:
        UsageError: No such kind of address.
        MissingComponentError: SRT, and this build of PyAV has none.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        scheme = url.split("://", 1)[0] if "://" in url else ""
        self._is_hls = not scheme and url.endswith(".m3u8")
        if scheme not in FORMAT_OF and not self._is_hls:
            raise UsageError(
                f"edgeseg cannot stream to {without_credentials(url)}",
                expected="rtsp://, rtmp://, srt://, udp://, tcp://, or FOLDER/NAME.m3u8",
            )
        if scheme == "srt":
            refuse_missing_srt("send by rtsp://, rtmp:// or udp://, or build PyAV over an FFmpeg with libsrt")
        self._format = "hls" if self._is_hls else FORMAT_OF[scheme]

    def open(self, timing: ClipTiming) -> OutputContainer:
        """Connect, or go on with the playlist."""
        options = {"flush_packets": "1"}
        if self._is_hls:
            Path(self._url).parent.mkdir(parents=True, exist_ok=True)
            options |= HLS_OPTIONS
        elif self._format == "rtsp":
            options |= {"rtsp_transport": "tcp"}
        container: OutputContainer = require("av").open(self._url, "w", format=self._format, options=options)
        return container

    def settle(self) -> None:
        """Do nothing: what is sent is sent."""

    def close(self) -> None:
        """Nothing is held."""
