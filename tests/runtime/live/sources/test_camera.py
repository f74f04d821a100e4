"""V4L2 cameras on doubles that fail as cameras do; no camera was ever here.

The double of FFmpeg's container gives real MJPEG packets and raises what libavdevice raises.
"""

from __future__ import annotations

import errno
import itertools
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import av
import pytest

from edgeseg.runtime.live.sources import av_connection
from edgeseg.runtime.live.sources.av_connection import AvConnection, open_camera
from edgeseg.runtime.live.sources.contract import SourceOptions
from edgeseg.runtime.live.sources.faults import SourceLostError
from edgeseg.runtime.live.sources.reconnecting import ReconnectingSource
from edgeseg.runtime.live.sources.source_opening import open_live_source

QUICK = SourceOptions(open_timeout_s=0.3, stall_s=0.3, first_pause_s=0.01, longest_pause_s=0.05, attempts=5)


@pytest.fixture
def recording(tmp_path: Path, numbered: Any) -> Path:
    """MJPEG, every picture a key frame, as USB cameras send it."""
    path = tmp_path / "camera.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuvj422p"
        for number in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered.draw(number), format="rgb24")))
        container.mux(stream.encode(None))
    return path


class Camera:
    """A container that ends as it is told to."""

    def __init__(self, path: Path, end: Callable[[], None], frames: int = 8) -> None:
        self._container = av.open(str(path))
        self.streams, self.format = self._container.streams, self._container.format
        self._end, self._frames = end, frames

    def demux(self, stream: Any) -> Iterator[Any]:
        packets = (packet for packet in self._container.demux(stream) if packet.size)
        yield from itertools.islice(packets, self._frames)
        self._end()

    def close(self) -> None:
        self._container.close()


def error(number: int) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise OSError(number, "of the driver")

    return fail


def source_of(*openings: Callable[[Any], Any], options: SourceOptions = QUICK) -> ReconnectingSource:
    """A camera that is opened so, then so, and so on; the last repeats."""
    ways = iter(openings)
    last = openings[-1]
    return ReconnectingSource("camera:0", lambda: AvConnection(next(ways, last), options), options)


def test_a_camera_that_is_pulled_and_put_back(recording: Path, collect: Any, numbered: Any) -> None:
    pulled = partial(Camera, recording, error(errno.ENODEV))
    source = source_of(lambda _: pulled(), error(errno.ENOENT), error(errno.ENOENT), lambda _: pulled(frames=12))
    collector = collect(source)
    frames = collector.wait_for(20)
    assert [numbered.read(frame.picture.bgr) for frame in frames[:20]] == [*range(8), *range(12)]
    assert frames[0].picture.full_range
    assert all(before.pts < after.pts for before, after in itertools.pairwise(frames))
    assert source.status().reconnects >= 1
    collector.until(lambda: source.status().last_error == "the device is gone")


def test_a_camera_that_never_comes_back_is_given_up(recording: Path, collect: Any) -> None:
    source = source_of(lambda _: Camera(recording, error(errno.ENODEV)), error(errno.ENOENT))
    failure = collect(source).end()
    assert isinstance(failure, SourceLostError)
    assert failure.what == "camera:0 was lost"
    assert failure.found == "there is no such device or file (5 of 5 attempts)"


def test_a_driver_that_hangs_is_left_alone(recording: Path, collect: Any) -> None:
    """A blocked ioctl heeds no timeout: the thread stays behind, the source goes on."""
    released = threading.Event()
    hangs = Camera(recording, lambda: released.wait(60) and None)
    source = source_of(lambda _: hangs, lambda _: Camera(recording, error(errno.EIO)))
    collector = collect(source)
    try:
        collector.until(lambda: source.status().reconnects >= 1)
    finally:
        released.set()
    assert len(collector.frames) > 8


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EBUSY, "the device is in use by another program (3 of 3 attempts)"),
        (errno.EACCES, "this user may not read it (1 of 3 attempts)"),
        (errno.EINVAL, "it does not take these settings (size or rate) (1 of 3 attempts)"),
    ],
)
def test_a_camera_that_cannot_be_opened(number: int, words: str, collect: Any) -> None:
    failure = collect(source_of(error(number))).end()
    assert isinstance(failure, SourceLostError)
    assert failure.found == words


def test_a_slow_reader_gets_the_newest_picture(recording: Path, numbered: Any) -> None:
    """The camera gives 20 pictures while the reader sleeps; all but the newest are left out."""
    given, wait = threading.Event(), threading.Event()

    def end() -> None:
        given.set()
        wait.wait(60)

    connection = AvConnection(lambda _: Camera(recording, end, frames=20), SourceOptions(buffer_s=0))
    assert given.wait(30)
    decoded = connection.next_picture(5)
    assert decoded is not None
    assert numbered.read(decoded.picture.bgr) == 19
    assert connection.skipped == 19
    wait.set()
    connection.close()


def test_a_reader_that_stops_does_not_fill_the_memory(
    recording: Path, numbered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeseg.runtime.live.sources.packet_reader.WAITING_BYTES", 1)
    given = threading.Event()
    connection = AvConnection(lambda _: Camera(recording, given.set, frames=20), SourceOptions(buffer_s=60))
    assert given.wait(30)
    assert connection.skipped == 20
    connection.close()


def test_hardware_that_is_not_there_gives_way_to_software(recording: Path) -> None:
    """Opening with a device that this machine lacks raises, as PyAV does without a GPU."""

    def opened(hardware: Any) -> Any:
        if hardware is not None:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        return Camera(recording, lambda: None)

    connection = AvConnection(opened, SourceOptions(hardware="cuda"))
    decoded = None
    while decoded is None:
        decoded = connection.next_picture(5)
    assert connection.decoder_name == "mjpeg (software; cuda: Operation not permitted)"
    connection.close()


def test_hardware_by_pyav_itself(numbered_clip: Path, numbered: Any) -> None:
    """The real HWAccel on a real file: with a GPU or without one, pictures come."""

    def opened(hardware: Any) -> Any:
        return av.open(str(numbered_clip), **({} if hardware is None else {"hwaccel": hardware}))

    for device in ("cuda", "nonsense"):
        connection = AvConnection(opened, SourceOptions(hardware=device, buffer_s=60))
        seen = []
        while len(seen) < 5:
            decoded = connection.next_picture(5)
            if decoded is not None:
                seen.append(numbered.read(decoded.picture.bgr))
        assert seen == list(range(5))
        assert connection.decoder_name.startswith("h264 (")
        assert device in connection.decoder_name
        connection.close()


def test_what_ffmpeg_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    class Recorder:
        @staticmethod
        def open(name: str, **settings: Any) -> None:
            asked.update(name=name, **settings)

    monkeypatch.setattr(av_connection, "require", lambda _: Recorder)
    open_camera("/dev/video2", SourceOptions(size=(1280, 720), camera_format="mjpeg"))
    assert asked["name"] == "/dev/video2"
    assert av.ContainerFormat(asked["format"], "r").is_input
    assert asked["options"] == {"video_size": "1280x720", "input_format": "mjpeg"}


def test_a_camera_that_is_not_here(collect: Any) -> None:
    failure = collect(open_live_source("camera:77", QUICK)).end()
    assert isinstance(failure, SourceLostError)
    assert failure.found == "there is no such device or file (1 of 3 attempts)"
    assert failure.next_command == "ls /dev/video*"
