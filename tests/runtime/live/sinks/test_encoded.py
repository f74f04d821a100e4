from __future__ import annotations

import contextlib
import dataclasses
import gc
import os
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.runtime.live.live_values import Presented
from edgeseg.runtime.live.sinks.encoded import EncodedWriter, Recording
from edgeseg.runtime.live.sinks.sink import QueuedSink, Retry
from edgeseg.runtime.live.sinks.sink_choice import recording_sink
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import ClipTiming
from tests.runtime.live.sinks.decoding import decoded, number

Until = Callable[[Callable[[], bool]], None]
HERE = Path(__file__).parent


def record(path: Path, frames: list[Any], showing: Any, view: Any = "raw") -> None:
    writer = EncodedWriter(Recording(path), lambda: showing.timing, view)
    for frame in frames:
        writer.write(frame)
    writer.close()


def test_a_recording_keeps_frames_gaps_and_colours(tmp_path: Path, showing: Any) -> None:
    kept = [index for index in range(60) if index % 7]
    record(tmp_path / "a.mp4", [showing(index) for index in kept], showing)
    frames = decoded(tmp_path / "a.mp4")
    assert [number(frame) for frame in frames] == kept
    times = [frame.pts * frame.time_base for frame in frames]
    assert times == [Fraction(40 * (index - 1), 1000) for index in kept]
    assert int(frames[0].colorspace) == 1


def test_raw_and_overlay_are_recorded_apart(tmp_path: Path, showing: Any) -> None:
    frames = [showing(0, area=0.5) for _ in range(3)]
    record(tmp_path / "raw.mp4", frames, showing, "raw")
    record(tmp_path / "overlay.mp4", frames, showing, "overlay")
    raw, overlay = (decoded(tmp_path / name)[0].to_ndarray() for name in ("raw.mp4", "overlay.mp4"))
    assert raw[:64].max() <= 20 < 100 < overlay[:64].max()


def test_another_size_starts_another_file_and_none_is_written_over(tmp_path: Path, showing: Any) -> None:
    path = tmp_path / "new" / "a.mp4"
    sizes = [(64, 128)] * 5 + [(96, 160)] * 4 + [(64, 128)] * 3
    record(path, [showing(index, *size) for index, size in enumerate(sizes)], showing)
    record(path, [showing(0)], showing)
    names = ["a-001.mp4", "a-002.mp4", "a-003.mp4", "a.mp4"]
    assert sorted(file.name for file in path.parent.iterdir()) == names
    shapes = [[(frame.height, frame.width) for frame in decoded(path.parent / name)] for name in names]
    assert shapes == [[(96, 160)] * 4, [(64, 128)] * 3, [(64, 128)], [(64, 128)] * 5]


def test_a_recording_that_was_moved_away_goes_on_there_until_a_new_one_is_asked_for(
    tmp_path: Path, showing: Any, until: Until
) -> None:
    """As logrotate does it: rename first, tell later; every frame is in one of the two files."""
    path, moved = tmp_path / "a.mp4", tmp_path / "yesterday.mp4"
    sink = recording_sink(path, lambda: showing.timing, "raw")
    for index in range(160):
        until(lambda: len(sink._waiting) < 4)
        if index == 40:
            path.rename(moved)
        if index == 100:
            sink.reopen()
        sink.offer(showing(index))
    sink.close(20)
    assert (sink.counts().written, sink.counts().dropped, sink.counts().failures) == (160, 0, 0)
    old, new = ([number(frame) for frame in decoded(file)] for file in (moved, path))
    assert old + new == list(range(160))
    assert 90 <= len(old) <= 100
    assert decoded(path)[0].key_frame


def test_a_recording_that_is_killed_plays_up_to_the_last_second(tmp_path: Path) -> None:
    """SIGKILL in mid-stream: nothing is flushed, closed or finished."""
    script = textwrap.dedent(f"""
        import sys, time
        sys.path.insert(0, {str(HERE)!r})
        from pathlib import Path
        from conftest import Showing
        from edgeseg.runtime.live.sinks.sink_choice import recording_sink
        showing = Showing()
        sink = recording_sink(Path({str(tmp_path / "a.mp4")!r}), lambda: showing.timing, "raw")
        for index in range(10_000):
            while sink.counts().written < index - 4:
                time.sleep(0.001)
            sink.offer(showing(index))
            if index == 110:
                print("so far", flush=True)
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "so far\n"
        finally:
            os.kill(process.pid, signal.SIGKILL)
    frames = decoded(tmp_path / "a.mp4")
    assert len(frames) >= 75
    assert [number(frame) for frame in frames[:75]] == list(range(75))
    assert frames[25].key_frame


@pytest.mark.parametrize("stated_rate", [1, 1000])
@pytest.mark.parametrize("pts_step_ms", [1, 40], ids=["timestamps that crawl", "true timestamps"])
def test_a_second_has_a_key_frame_and_a_safe_fragment_whatever_rate_the_source_states(
    tmp_path: Path, showing: Any, stated_rate: int, pts_step_ms: int
) -> None:
    """25 frames a second come, by the clock; what stands in the file then is what a power cut leaves."""
    path = tmp_path / "a.mp4"
    timing = ClipTiming(Fraction(1, 1000), Fraction(stated_rate), states_matrix=True)
    writer = EncodedWriter(Recording(path), lambda: timing, "raw")
    for index in range(110):
        writer.write(at_pts(showing(index), 5000 + index * pts_step_ms))
    left = tmp_path / "left.mp4"
    left.write_bytes(path.read_bytes())
    writer.close()
    assert [frame.key_frame for frame in decoded(path)] == [index % 25 == 0 for index in range(110)]
    assert len(decoded(left)) == 100


def test_timestamps_without_a_clock_still_give_a_key_frame_a_second(tmp_path: Path, showing: Any) -> None:
    """As frames that waited come out at once: no time passes, but the video's."""
    path = tmp_path / "a.mp4"
    at_once = [dataclasses.replace(showing(index), presented_ns=showing.started_ns) for index in range(60)]
    record(path, at_once, showing)
    assert [index for index, frame in enumerate(decoded(path)) if frame.key_frame] == [0, 25, 50]


def test_timestamps_that_fall_behind_go_on_as_the_clock_does_and_keep_their_distances(
    tmp_path: Path, showing: Any
) -> None:
    """Ten frames' time is missing in the middle: as after a cover, when the source's own clock stood still."""
    frames = [showing(index) for index in range(10)]
    frames += [at_pts(showing(index), 5000 + (index - 10) * 40) for index in range(15, 30)]
    record(tmp_path / "a.mp4", frames, showing)
    times_ms = [round(frame.pts * frame.time_base * 1000) for frame in decoded(tmp_path / "a.mp4")]
    assert times_ms == [40 * index for index in [*range(10), *range(15, 30)]]


def test_frames_that_come_late_and_at_once_do_not_put_a_stream_ahead_of_the_clock(tmp_path: Path, showing: Any) -> None:
    """A cover stands at 2 s; then comes what was held back, from 1.2 s on, and from 2.2 s on all is in time."""
    cover = showing(50)
    late = [dataclasses.replace(showing(index), presented_ns=cover.presented_ns) for index in range(30, 55)]
    record(tmp_path / "a.mp4", [showing(0), cover, *late, *map(showing, range(55, 60))], showing)
    times_ms = [round(frame.pts * frame.time_base * 1000) for frame in decoded(tmp_path / "a.mp4")]
    assert times_ms[:2] == [0, 2000]
    assert times_ms[2:23] == [2000 + number for number in range(1, 22)]
    assert times_ms[-8:] == [40 * index for index in range(52, 60)]


def at_pts(presented: Presented, pts: int) -> Presented:
    return dataclasses.replace(presented, frame=dataclasses.replace(presented.frame, pts=pts))


def test_ffprobe_finds_nothing_wrong_with_a_recording(tmp_path: Path, showing: Any, system_program: Any) -> None:
    record(tmp_path / "a.mp4", [showing(index) for index in range(60)], showing)
    program = system_program("ffprobe", package="ffmpeg")
    words = [program, "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"]
    result = subprocess.run([*words, str(tmp_path / "a.mp4")], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "60" and result.stderr == ""


def test_a_full_disk_fails_this_sink_and_no_other(tmp_path: Path, showing: Any, until: Until) -> None:
    class FullDisk(Recording):
        def _free_name(self) -> Path:
            return Path("/dev/full")

    target = FullDisk(tmp_path / "full.mp4")
    writer = lambda: EncodedWriter(target, lambda: showing.timing, "raw")  # noqa: E731
    full = QueuedSink("full", writer, retry=Retry(0.01, 0.01))
    good = recording_sink(tmp_path / "good.mp4", lambda: showing.timing, "raw")
    for index in range(120):
        until(lambda index=index: good.counts().written >= index - 4)  # type: ignore[misc]
        full.offer(showing(index))
        good.offer(showing(index))
    until(lambda: full.counts().failures > 0)
    full.close(20)
    good.close(20)
    assert "No space left" in full.counts().last_error
    assert (good.counts().written, good.counts().failures) == (120, 0)
    assert [number(frame) for frame in decoded(tmp_path / "good.mp4")] == list(range(120))


@contextlib.contextmanager
def no_room(beyond_bytes: int = 0) -> Iterator[None]:
    """No file of this process may grow beyond this: the kernel then answers as on a full disk, with another word."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (beyond_bytes, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
        signal.signal(signal.SIGXFSZ, ignored)


def open_descriptors() -> set[tuple[str, str]]:
    """Number and target of each; what an earlier test left to the collector is gone first."""
    gc.collect()
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found.add((path.name, str(path.readlink())))
    return found


def test_every_try_on_a_full_disk_gives_back_what_it_opened(tmp_path: Path, showing: Any) -> None:
    frames = [showing(index) for index in range(60)]
    before = open_descriptors()
    for _ in range(5):
        writer = EncodedWriter(Recording(tmp_path / "full.mp4"), lambda: showing.timing, "raw")
        with no_room():
            with pytest.raises(OSError, match="too large"):
                for frame in frames:
                    writer.write(frame)
                writer.close()
            with contextlib.suppress(OSError):
                writer.close()
    del writer
    assert not open_descriptors() - before
    assert not list(tmp_path.iterdir()), "and leaves no empty files"


@pytest.mark.parametrize("room", [0, 1, 100, 700, 20_000, 200_000])
def test_a_recording_that_finds_the_disk_full_plays_up_to_the_last_second(
    room: int, tmp_path: Path, showing: Any
) -> None:
    """Wherever in the third group the room ends, within its header, too; there is room again when the file ends."""
    path, noise = tmp_path / "out.mp4", np.random.default_rng(0)
    writer = EncodedWriter(Recording(path), lambda: showing.timing, "raw")

    def write(index: int) -> None:
        presented = showing(index, 240, 320)
        luma = noise.integers(16, 236, (240, 320), dtype=np.uint8)
        picture = Picture.of_i420(240, 320, np.vstack([luma, np.full((120, 320), 128, np.uint8)]), "bt709")
        writer.write(dataclasses.replace(presented, frame=dataclasses.replace(presented.frame, picture=picture)))

    for index in range(51):  # the 51st is a key frame, which brings the second group out
        write(index)
    with no_room(path.stat().st_size + room), pytest.raises(OSError, match="too large"):
        for index in range(51, 80):
            write(index)
    with contextlib.suppress(OSError):
        writer.close()
    assert len(decoded(path)) == 50
