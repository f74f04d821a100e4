"""A disk that fills, a peer that takes nothing, a clock that is set: they cost their own sink and never the picture."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from edgeseg.runtime.live.live_stream import LiveOptions
from edgeseg.runtime.live.presenter import PresenterOptions
from edgeseg.runtime.live.sinks import sink as sink_module
from edgeseg.runtime.live.sinks.sink_choice import event_sink, mask_sink, publishing_sink, recording_sink
from edgeseg.runtime.live.sources.source_opening import open_live_source
from tests.runtime.live.faults.conftest import Command, Running, command_line, until

Play = Callable[..., Running]
CAMERA = "synthetic:160x120@10"
DISK_MIB = 4
_ON_A_SMALL_DISK = """
import sys
from edgeseg.runtime.live import preflight
preflight.MIN_FREE_BYTES = 2**20  # this disk is to fill up within seconds
from edgeseg.cli import main
sys.argv[0] = "edgeseg"
main()
"""


def frames_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.fixture
def small_disk(tmp_path: Path) -> tuple[Path, list[str]]:
    """A file system of 4 MiB, and what to put before a command that is to see it; its files are kept at the end."""
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    mounting = f'mount -t tmpfs -o size={DISK_MIB}m edgeseg "$0" && '
    probe = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mounting + "true", disk], capture_output=True, text=True, check=False
    )
    if probe.returncode:
        pytest.skip(f"no file system can be mounted here: {probe.stderr.strip()}")
    script = mounting + f'{{ trap "" TERM; "$@"; code=$?; cp -r "$0" "{kept}"; exit $code; }}'
    return disk, ["unshare", "-rm", "sh", "-c", script, str(disk)]


def test_a_full_disk_stops_the_recording_until_there_is_room(
    command: Callable[..., Command], small_disk: tuple[Path, list[str]], tmp_path: Path
) -> None:
    """Another program fills the disk and later makes room: what was recorded plays, and recording goes on."""
    disk, wrap = small_disk
    run = command("synthetic:320x240@10", "--out", disk / "out.mp4", "--seconds", 600, wrap=wrap, code=_ON_A_SMALL_DISK)
    run.until_runs()
    recorder = next(pid for pid in run.workers if b"edgeseg.cli" in command_line(pid))
    inside = Path(f"/proc/{recorder}/root{disk}")
    until(lambda: (inside / "out.mp4").exists() and (inside / "out.mp4").stat().st_size > 100_000)
    ballast = inside / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass  # full
    run.until_said("has failed")
    ballast.unlink()
    until(lambda: any(path.stat().st_size > 50_000 for path in inside.glob("out-*.mp4")))
    os.kill(recorder, signal.SIGTERM)
    code, status = run.end()
    assert code == 143, run.log.read_text()
    sink = status["sinks"][0]
    assert sink["failures"] >= 1 and "No space left" in sink["last_error"]
    assert sink["state"] == "closed"
    assert status["frames"] > sink["written"] > 0, "the picture went on"
    first, *others = sorted((tmp_path / "kept").glob("out*.mp4"), key=lambda path: (len(path.name), path.name))
    assert frames_of(first) > 0
    assert frames_of(others[-1]) > 0


def test_a_peer_that_takes_nothing_and_its_end(play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It accepts the connection and never reads; the recording beside it and the picture lose nothing."""
    monkeypatch.setattr(sink_module, "STALLED_S", 1.0)
    source = open_live_source("synthetic:1280x720@15")
    out = tmp_path / "out.mp4"
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.bind(("127.0.0.1", 0))
        peer.listen()
        blocked = publishing_sink(f"tcp://127.0.0.1:{peer.getsockname()[1]}", lambda: source.timing)
        record = recording_sink(out, lambda: source.timing, "raw")
        run = play(source, [blocked, record], spares=0)
        run.until(lambda: blocked.counts().dropped > 20 and blocked.counts().state == "failed")
        run.until(lambda: "has failed" in run.stream.state.reason)
        start = len(run.shown)
        run.until(lambda: len(run.shown) > start + 20)
        started_s = time.monotonic()
        status = run.end()
        assert time.monotonic() - started_s < 30.0, "the end does not wait for the peer"
    assert len(run.shown) + status.skipped == run.shown[-1].index + 1
    blocked_counts, record_counts = status.sinks[:2]
    assert blocked_counts["dropped"] > 20
    assert record_counts["failures"] == 0
    assert frames_of(out) == record_counts["written"] == status.frames - record_counts["dropped"]


def test_a_clock_that_is_set_changes_no_frame(play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The time of day jumps a year back and forth while frames, masks and events are written."""
    real_s, real_ns = time.time, time.time_ns
    steps_s = itertools.cycle([0, -365 * 86400, 365 * 86400, 3600])
    monkeypatch.setattr(time, "time", lambda: real_s() + next(steps_s))
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + next(steps_s) * 10**9)
    source = open_live_source(CAMERA)
    names = [tmp_path / name for name in ("out.mp4", "masks.jsonl", "events.jsonl")]
    sinks = [recording_sink(names[0], lambda: source.timing, "raw"), mask_sink(names[1]), event_sink(names[2], "polyp")]
    run = play(source, sinks, LiveOptions(PresenterOptions(mask_limit_ms=1000.0), max_frames=40), spares=0)
    status = run.wait()
    assert [frame.index for frame in run.shown] == list(range(40))
    assert all(0.0 <= frame.picture_age_ms < 20_000.0 for frame in run.shown)
    assert all(frame.mask_age_ms is None or 0.0 <= frame.mask_age_ms < 20_000.0 for frame in run.shown)
    assert all(sink["failures"] == 0 for sink in status.sinks[:3])
    with av.open(str(names[0])) as container:
        pts = [frame.pts for frame in container.decode(video=0)]
    assert len(pts) == 40 and len({later - earlier for earlier, later in itertools.pairwise(pts)}) == 1
    numbers: list[Any] = [json.loads(line)["frame"] for line in names[1].read_text().splitlines()]
    assert numbers == sorted(set(numbers)) and numbers
