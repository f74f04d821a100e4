"""Sources that die, return, send rubbish or change their size, through decoder, engine and recording."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from edgeseg.errors import BadInputError
from edgeseg.runtime.live.live_stream import LiveOptions
from edgeseg.runtime.live.presenter import PresenterOptions
from edgeseg.runtime.live.sinks.sink_choice import mask_sink, recording_sink
from edgeseg.runtime.live.sources.contract import SourceOptions
from edgeseg.runtime.live.sources.faults import SourceLostError
from edgeseg.runtime.live.sources.source_opening import open_live_source
from edgeseg.runtime.live.states import StateLimits
from edgeseg.runtime.video.source import SourceFrame
from tests.runtime.live.faults.conftest import Running

Play = Callable[..., Running]
QUICK = SourceOptions(stall_s=1.0, first_pause_s=0.05, longest_pause_s=0.2, attempts=1000)
RATE = 10
PATIENT = LiveOptions(PresenterOptions(mask_limit_ms=1000.0), limits=StateLimits(late_share=2.0))


def test_a_server_that_dies_and_returns_is_one_recording_with_a_gap(
    play: Play, rtsp_server: Any, tmp_path: Path
) -> None:
    server = rtsp_server()
    source = open_live_source(server.url, QUICK)
    out = tmp_path / "out.mp4"
    run = play(source, [recording_sink(out, lambda: source.timing, "overlay")], PATIENT, spares=0)
    run.until_masks(10)
    server.kill()
    run.until(lambda: "no frame from the source" in run.said)
    run.until(lambda: source.status().state == "reconnecting")
    before = len(run.shown)
    rtsp_server(port=server.port)
    run.until(lambda: len(run.shown) >= before + 10)
    run.until_masks(10)
    status = run.end()
    shown = run.shown
    assert len(shown) + status.skipped == shown[-1].index + 1, "every frame is shown, or counted as not shown"
    assert all(earlier.pts < later.pts for earlier, later in itertools.pairwise(shown))
    assert status.restarts == status.lost == 0, "the engine is not concerned"
    assert status.source_status is not None and status.source_status["reconnects"] == 1
    with av.open(str(out)) as container:
        times = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    assert len(times) == status.sinks[0]["written"]
    longest = max(later - earlier for earlier, later in itertools.pairwise(times))
    gap = max(later.pts - earlier.pts for earlier, later in itertools.pairwise(shown)) * Fraction(1, 90_000)
    # On a busy machine the recording lacks frames that were shown: its gap is wider by those beside it, and no more.
    usual = max(sorted(later.pts - earlier.pts for earlier, later in itertools.pairwise(shown))[:-1])
    assert gap <= longest <= gap + status.sinks[0]["dropped"] * usual * Fraction(1, 90_000)
    assert longest > 0.5


def test_a_server_that_never_returns_ends_the_stream_with_whole_files(
    play: Play, rtsp_server: Any, tmp_path: Path
) -> None:
    server = rtsp_server()
    source = open_live_source(server.url, dataclasses.replace(QUICK, attempts=3))
    out = tmp_path / "out.mp4"
    run = play(source, [recording_sink(out, lambda: source.timing, "raw")], PATIENT, spares=0)
    run.until_masks()
    server.kill()
    with pytest.raises(SourceLostError, match="was lost"):
        run.wait()
    with av.open(str(out)) as container:
        assert sum(1 for _ in container.decode(video=0)) == run.stream.status().sinks[0]["written"] > 0


def test_corrupt_packets_leave_the_stream_running(play: Play, tmp_path: Path, numbered: Any, videos: Any) -> None:
    """Bytes of every second group of pictures are overwritten; a real decoder makes of it what it can."""
    images = [numbered.draw(number) for number in range(80)]
    options = {"preset": "ultrafast", "g": "10", "sc_threshold": "0"}
    clip = videos.write(tmp_path / "a.ts", images, [9000 * n for n in range(80)], Fraction(1, 90_000), options)
    data = bytearray(clip.read_bytes())
    rng = random.Random(3)
    for start in range(len(data) // 4, len(data) * 3 // 4, 4 * 188):
        for _ in range(20):
            data[start + 20 + rng.randrange(160)] = rng.randrange(256)
    clip.write_bytes(data)
    run = play(str(clip), options=PATIENT, spares=0)
    status = run.wait()
    assert status.source_status is not None
    damage = status.source_status["corrupt"] + status.source_status["damaged"]
    assert damage > 0 and any(frame.damaged for frame in run.shown)
    assert not run.shown[-1].damaged and run.shown[-1].mask_index is not None
    assert all(earlier.pts < later.pts for earlier, later in itertools.pairwise(run.shown))
    assert status.restarts == status.lost == 0


def two_sizes(tmp_path: Path, videos: Any) -> Path:
    """One transport stream whose pictures grow after 20 frames and shrink again after 20 more: white, then black."""
    parts = []
    for number, (height, width) in enumerate([(64, 128), (96, 160), (64, 128)]):
        images = [np.full((height, width, 3), 255, np.uint8)] * 20
        pts = [9000 * (20 * number + index) for index in range(20)]
        parts.append(videos.write(tmp_path / f"{number}.ts", images, pts, Fraction(1, 90_000)))
    clip = tmp_path / "sizes.ts"
    clip.write_bytes(b"".join(part.read_bytes() for part in parts))
    return clip


def test_a_change_of_size_goes_through_to_recordings_and_masks(play: Play, tmp_path: Path, videos: Any) -> None:
    source = open_live_source(str(two_sizes(tmp_path, videos)))
    overlay, masks = tmp_path / "overlay.mp4", tmp_path / "masks"
    sinks = [recording_sink(overlay, lambda: source.timing, "overlay"), mask_sink(masks)]
    run = play(source, sinks, PATIENT, spares=0)
    status = run.wait()
    sizes = [frame.size for frame in run.shown]
    kinds = [size for size, _ in itertools.groupby(sizes)]
    assert kinds == [(64, 128), (96, 160), (64, 128)]
    assert all(frame.mask_size in (None, frame.size) for frame in run.shown)
    for size, part in itertools.groupby(run.shown, key=lambda frame: frame.size):
        assert any(frame.area_fraction == 1.0 for frame in part), f"white marked at {size}"
    recorded = []
    for name in ("overlay.mp4", "overlay-001.mp4", "overlay-002.mp4"):
        with av.open(str(tmp_path / name)) as container:
            recorded.append([(frame.height, frame.width) for frame in container.decode(video=0)])
    assert [set(part) for part in recorded] == [{kind} for kind in kinds]
    assert sum(map(len, recorded)) == status.frames == len(sizes)
    assert status.restarts == status.lost == 0


def test_a_source_thread_that_fails_ends_the_stream_with_whole_files(play: Play, tmp_path: Path) -> None:
    source: Any = open_live_source(f"synthetic:160x120@{RATE}")
    frames = source.frames

    def failing() -> Any:
        for frame in frames():
            if frame.index == 25:
                raise BadInputError("the cable was pulled")
            yield frame

    source.frames = failing
    out = tmp_path / "out.mp4"
    run = play(source, [recording_sink(out, lambda: source.timing, "raw")], spares=0)
    with pytest.raises(BadInputError, match="cable"):
        run.wait()
    with av.open(str(out)) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(run.shown) == 25


class Failing:
    """Stands in for a part that has a defect: it fails for some frames."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last, self.count = first, last, 0

    def fail(self) -> None:
        self.count += 1
        if self.first <= self.count < self.last:
            raise ZeroDivisionError("a defect")

    def reason(self, frame: SourceFrame) -> str | None:
        self.fail()
        return None

    def draw(self, picture: Any, mask: Any, lines: Any, mode: Any) -> Any:
        self.fail()
        return picture

    def offer(self, presented: Any) -> None:
        self.fail()

    def counts(self) -> None:
        return None

    def close(self, deadline_s: float) -> None:
        pass


@pytest.mark.parametrize("part", ["gate", "draw", "sink"])
def test_a_defect_beside_the_picture_is_said_and_the_picture_goes_on(play: Play, part: str) -> None:
    failing: Any = Failing(10, 16)
    failing.name = "failing"
    more: dict[str, Any] = {"gate": {"gate": failing}, "draw": {"draw": failing.draw}, "sink": {}}[part]
    run = play(f"synthetic:160x120@{RATE}", [failing] if part == "sink" else [], PATIENT, spares=0, **more)
    run.until(lambda: "a defect" in run.said)
    run.until(lambda: failing.count > 20)
    run.until_masks()
    run.end()
    assert [frame.index for frame in run.shown] == list(range(len(run.shown)))
    if part != "sink":
        assert all(frame.mask_index is None for frame in run.shown[10:14])
    assert any(change.state == "degraded" and "ZeroDivisionError" in change.reason for change in run.changes)


def test_a_presenter_that_fails_ends_the_stream_and_says_why(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nothing may be shown any more: a frozen picture is the one thing worse than none."""
    run = play(f"synthetic:160x120@{RATE}", spares=0)
    run.until_masks()
    monkeypatch.setattr(run.stream._presenter, "_count", None)
    with pytest.raises(TypeError):
        run.wait()
