"""Tests of what viewers of a sent stream see while there is no picture for them."""

from __future__ import annotations

import dataclasses
import itertools
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from edgeseg.runtime.live.live_values import Presented
from edgeseg.runtime.live.sinks.publishing import PublishingSink
from edgeseg.runtime.live.sinks.sink import Retry
from edgeseg.runtime.live.sinks.sink_choice import mask_sink, publishing_sink, recording_sink
from edgeseg.runtime.live.states import StateChange

Until = Callable[[Callable[[], bool]], None]
SILENT = StateChange("degraded", "no frame from the source", 0)
LIVE = StateChange("live", "", 0)
MS = 1_000_000


class Kept:
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        self.presented: list[Presented] = []

    def write(self, presented: Presented) -> None:
        self.presented.append(presented)

    def close(self) -> None: ...


class Driven:
    """A stream by a clock of its own: asked for covers ten times a second."""

    def __init__(self, showing: Any, until: Until) -> None:
        self.showing, self.until = showing, until
        self.kept = Kept()
        self.sink = PublishingSink("viewers", lambda: self.kept)
        self.now_ns = showing.started_ns

    def frames(self, first: int, last: int, recordable: bool = True) -> Driven:
        for index in range(first, last):
            shown = self.showing(index, recordable=recordable)
            self.silence((shown.presented_ns - self.now_ns) / 1e6, LIVE)
            self.now_ns = shown.presented_ns
            self.sink.offer(dataclasses.replace(shown, gate=None if recordable else "out of the body"))
            self._settle()
        return self

    def silence(self, for_ms: float, change: StateChange = SILENT) -> Driven:
        end_ns = self.now_ns + for_ms * MS
        while self.now_ns + 100 * MS <= end_ns:
            self.now_ns += 100 * MS
            self.sink.cover(self.now_ns, change)
            self._settle()
        return self

    def _settle(self) -> None:
        self.until(lambda: not self.sink._waiting)

    def written(self) -> list[Presented]:
        self.sink.close(20)
        return self.kept.presented


@pytest.fixture
def driven(showing: Any, until: Until) -> Driven:
    return Driven(showing, until)


def seconds(driven: Driven, shown: list[Presented]) -> list[float]:
    return [round((one.presented_ns - driven.showing.started_ns) / 1e9, 2) for one in shown]


def test_a_silent_source_is_covered_twice_a_second_until_pictures_come(driven: Driven) -> None:
    written = driven.frames(0, 26).silence(3000).frames(101, 120).written()
    black = [shown for shown in written if shown.state == "degraded"]
    assert seconds(driven, black) == [2.1, 2.6, 3.1, 3.6], "the last frame came at 1.0 s, the next at 4.04 s"
    assert all(shown.overlay.planes()[0][0].max() == 16 and shown.frame.picture is shown.overlay for shown in black)
    assert len(written) == 26 + 4 + 19
    times = [shown.frame.pts for shown in written]
    assert times == sorted(times)
    assert [shown.frame.pts for shown in black] == [5000 + 2100, 5000 + 2600, 5000 + 3100, 5000 + 3600]
    counts = driven.sink.counts()
    assert (counts.covers, counts.written, counts.withheld) == (4, 49, 0)


def test_frames_that_viewers_may_not_see_are_covered_at_once_and_never_sent(driven: Driven) -> None:
    written = driven.frames(0, 25).frames(25, 75, recordable=False).frames(75, 100).written()
    hidden = [shown for shown in written if shown.gate is not None]
    assert seconds(driven, hidden) == [1.0, 1.52, 2.04, 2.56]
    assert [shown.frame.pts for shown in hidden] == [6000, 6520, 7040, 7560], "the time of the frame that it covers"
    assert all(shown.overlay.planes()[0][0].max() == 16 and shown.recordable for shown in hidden)
    assert len(written) == 25 + 4 + 25
    counts = driven.sink.counts()
    assert (counts.withheld, counts.covers) == (50, 4)


def test_silence_after_withheld_frames_is_said_as_silence(driven: Driven) -> None:
    written = driven.frames(0, 10).frames(10, 20, recordable=False).silence(3000).written()
    assert [shown.gate for shown in written[10:]] == ["out of the body"] * 3 + [None] * 4


def test_while_pictures_come_and_before_the_first_there_is_no_cover(driven: Driven) -> None:
    driven.silence(5000)
    driven.now_ns = driven.showing.started_ns
    driven.frames(0, 60)
    assert len(driven.written()) == 60
    assert driven.sink.counts().covers == 0
    driven.silence(5000)
    assert driven.sink.counts().covers == 0, "nor after the end"


def test_a_cover_that_cannot_be_made_fails_this_sink_alone(driven: Driven, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise ValueError("no room for letters")

    monkeypatch.setattr("edgeseg.runtime.live.sinks.publishing.cover_of", fail)
    driven.frames(0, 5).silence(1500)
    counts = driven.sink.counts()
    assert (counts.state, counts.last_error, counts.covers) == ("failed", "no room for letters", 0)
    assert len(driven.written()) == 5


def test_files_are_never_asked_for_covers(tmp_path: Path, showing: Any) -> None:
    files = [recording_sink(tmp_path / "a.mp4", lambda: showing.timing, "raw"), mask_sink(tmp_path / "masks")]
    for sink in files:
        assert not hasattr(sink, "cover")
        sink.close(20)
    viewers = publishing_sink(str(tmp_path / "a.m3u8"), lambda: showing.timing)
    assert hasattr(viewers, "cover")
    viewers.close(20)


def test_a_playlist_goes_on_with_covers(driven: Driven, tmp_path: Path) -> None:
    """A segment ends with a key frame, and a source that states 25 frames a second would have none for 12 s."""
    path = tmp_path / "a.m3u8"
    driven.sink.close(20)
    driven.sink = publishing_sink(str(path), lambda: driven.showing.timing)
    driven.frames(0, 26).silence(5000)
    driven.until(lambda: driven.sink.counts().written >= 26 + 8)
    newest = [line for line in path.read_text().splitlines() if line.endswith(".ts")][-1]
    with av.open(str(tmp_path / newest)) as container:
        frames = [(frame.pts * frame.time_base, frame.to_ndarray()[0].max()) for frame in container.decode(video=0)]
    driven.sink.close(20)
    assert frames[-1][0] - frames[0][0] <= 1
    assert all(brightest < 50 for _, brightest in frames)
    assert path.read_text().count(".ts") >= 4, "a new segment each second"


VIEWER = """
import sys, time
import av
container = av.open(sys.argv[1], options={"listen": "1"}, timeout=(20.0, 20.0))
for frame in container.decode(video=0):
    luma = frame.to_ndarray()[: frame.height]
    print(float(frame.pts * frame.time_base), int(luma[0].max()), float(luma.mean()), time.monotonic(), flush=True)
"""


def test_a_viewer_sees_covers_while_the_source_is_silent_and_pictures_again(
    tmp_path: Path, showing: Any, until: Until
) -> None:
    """Over a real connection and in real time; the recording beside it has what came and nothing else."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    words = [sys.executable, "-c", VIEWER, url]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as viewer:
        try:
            sink = publishing_sink(url, lambda: showing.timing, "raw")
            record = recording_sink(tmp_path / "a.mp4", lambda: showing.timing, "raw")
            sink._retry = Retry(0.1, 0.2)
            until(lambda: _connects(sink, showing))
            showing.started_ns = time.monotonic_ns()
            offered = 0
            for index in itertools.chain(range(25), range(100, 125)):
                shown = showing(index)
                while time.monotonic_ns() < shown.presented_ns:
                    sink.cover(time.monotonic_ns(), SILENT)
                    time.sleep(0.02)
                sink.offer(_white(shown, 320, 640))
                record.offer(_white(shown, 320, 640))
                offered += 1
            sink.close(20)
            record.close(20)
            text, _ = viewer.communicate(timeout=20)
        finally:
            viewer.kill()
    seen = [tuple(float(word) for word in line.split()) for line in text.splitlines()]
    black = [one for one in seen if one[1] < 50]
    assert 3 <= len(black) <= 6, "3 s of silence, the first of them without"
    assert all(16 < mean < 120 for _, _, mean, _ in black), "black, with words"
    assert seen[-1][1] > 200, "and pictures again"
    first, last = seen.index(black[0]), seen.index(black[-1])
    assert [one[1] < 50 for one in seen[first : last + 1]] == [True] * len(black)
    assert all(later[0] > earlier[0] for earlier, later in itertools.pairwise(seen))
    assert 0.9 < black[0][0] - seen[first - 1][0] < 1.5, "timestamps go on with the clock"
    assert np.diff([one[3] for one in black]).max() < 1.5, "each comes when it is sent"
    with av.open(str(tmp_path / "a.mp4")) as container:
        frames = [frame.to_ndarray()[0, 0] for frame in container.decode(video=0)]
    assert len(frames) == offered == 50
    assert min(frames) > 200
    assert sink.counts().covers == len(black)


def _connects(sink: PublishingSink, showing: Any) -> bool:
    showing.started_ns = time.monotonic_ns()
    sink.offer(_white(showing(0), 320, 640))
    return sink.counts().written > 0


def _white(shown: Presented, height: int, width: int) -> Presented:
    picture = type(shown.overlay).of_i420(height, width, np.full((height * 3 // 2, width), 128, np.uint8), "bt709")
    picture.planes()[0][:] = 235
    return dataclasses.replace(shown, frame=dataclasses.replace(shown.frame, picture=picture), overlay=picture)
