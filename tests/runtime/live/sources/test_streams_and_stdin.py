"""RTMP, UDP, SRT and standard input, each from a sender on this machine."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from edgeseg.cli import run
from edgeseg.errors import BadInputError, MissingComponentError
from edgeseg.runtime.live.sources.contract import SourceOptions
from edgeseg.runtime.live.sources.source_opening import is_live_name, open_live_source

SIZE = (96, 128)
OPTIONS = SourceOptions(first_attempts=20, first_pause_s=0.1, longest_pause_s=0.2)


def write_stream(
    target: Any, count: int, form: str = "mpegts", pace_s: float = 0.0, ends: threading.Event | None = None
) -> None:
    """A grey picture that grows brighter by 2 with each frame, a key frame every tenth."""
    with av.open(target, "w", format=form) as container:
        stream = container.add_stream("mpeg2video", rate=25, options={"g": "10"})
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        for index in range(count):
            if ends is not None and ends.is_set():
                break
            frame = av.VideoFrame.from_ndarray(np.full((*SIZE, 3), 2 * (index % 100), np.uint8))
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
            time.sleep(pace_s)
        container.mux(stream.encode())


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def udp_sender() -> Iterator[Callable[[int], None]]:
    """Sends MPEG-TS to a port until the test ends."""
    threads, ends = [], threading.Event()

    def start(port: int) -> None:
        url = f"udp://127.0.0.1:{port}?pkt_size=1316"
        threads.append(threading.Thread(target=write_stream, args=(url, 2000, "mpegts", 0.02, ends)))
        threads[-1].start()

    yield start
    ends.set()
    for thread in threads:
        thread.join(10)


def test_mpegts_over_udp(udp_sender: Callable[[int], None], collect: Any) -> None:
    port = free_port(socket.SOCK_DGRAM)
    collector = collect(open_live_source(f"udp://@127.0.0.1:{port}", OPTIONS))
    udp_sender(port)
    frames = collector.wait_for(20)
    assert {(frame.picture.height, frame.picture.width) for frame in frames} == {SIZE}
    steps = {later.pts - earlier.pts for earlier, later in pairwise(frames)}
    assert min(steps) > 0
    status = collector.source.status()
    assert (status.state, status.decoder) == ("connected", "mpeg2video")


def test_udp_that_nobody_sends(collect: Any) -> None:
    options = SourceOptions(first_attempts=1, open_timeout_s=0.5, stall_s=0.5)
    collector = collect(open_live_source(f"udp://@127.0.0.1:{free_port(socket.SOCK_DGRAM)}", options))
    assert "gives no picture" in str(collector.end())


@pytest.fixture
def rtmp_server(system_program: Callable[..., str]) -> Iterator[Callable[[], str]]:
    """An ffmpeg that serves one client by RTMP."""
    program = system_program("ffmpeg")
    processes = []

    def start() -> str:
        url = f"rtmp://127.0.0.1:{free_port(socket.SOCK_STREAM)}/live/GEHEIM42"
        picture = f"testsrc=size={SIZE[1]}x{SIZE[0]}:rate=25"
        command = [program, "-loglevel", "error", "-re", "-f", "lavfi", "-i", picture, "-c:v", "flv", "-g", "10"]
        processes.append(subprocess.Popen([*command, "-f", "flv", "-listen", "1", url], stderr=subprocess.DEVNULL))
        return url

    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_rtmp(rtmp_server: Callable[[], str], collect: Any) -> None:
    collector = collect(open_live_source(rtmp_server(), OPTIONS))
    frames = collector.wait_for(10)
    assert (frames[0].picture.height, frames[0].picture.width) == SIZE
    assert collector.source.name.startswith("rtmp://127.0.0.1:") and "GEHEIM" not in collector.source.name


def test_srt_is_read_or_its_absence_told() -> None:
    options = SourceOptions(first_attempts=1, open_timeout_s=0.5, stall_s=0.5)
    try:
        source = open_live_source("srt://127.0.0.1:9?passphrase=GEHEIM42GEHEIM42", options)
    except MissingComponentError as error:
        assert "no SRT" in error.what and "gst:srtsrc" in str(error.next_command)
        return
    with pytest.raises(BadInputError):
        next(iter(source.frames()))


def test_their_names() -> None:
    for name in ("-", "udp://@:5000", "udp://239.0.0.1:5000", "srt://h:1", "rtmp://h/a/b", "RTMPS://h/a/b"):
        assert is_live_name(name), name
    assert not is_live_name("-x")


def from_stdin(engine: Path, data: bytes, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from edgeseg.cli import main; main()", "live", str(engine), "-", "--json", *words]
    done = subprocess.run(command, input=data, capture_output=True, timeout=120, check=False)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize("form", ["mpegts", "matroska"])
def test_standard_input_is_read_to_its_end(tiny_engine: Path, form: str) -> None:
    stream = BytesIO()
    write_stream(stream, 30, form)
    done = from_stdin(tiny_engine, stream.getvalue())
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert 1 <= status["frames"] <= 30  # all at once: the newest wins
    assert "gives no picture" not in done.stderr and "was lost" not in done.stderr


def test_no_frame_of_standard_input_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clip.ts").write_bytes(b"")
    write_stream(str(tmp_path / "clip.ts"), 30)
    monkeypatch.setattr("edgeseg.runtime.live.sources.av_connection.STANDARD_INPUT", f"file:{tmp_path / 'clip.ts'}")
    monkeypatch.setattr("edgeseg.runtime.live.sources.av_connection.STANDARD_INPUT_PROTOCOLS", "file")
    source = open_live_source("-")
    frames = list(source.frames())
    greys = [int(frame.picture.bgr.mean()) for frame in frames]
    assert len(greys) == 30 and all(abs(grey - 2 * index) < 8 for index, grey in enumerate(greys))
    assert (source.status().state, source.status().last_error) == ("ended", "")


@pytest.mark.parametrize("data", [b"", b"no video" * 100])
def test_standard_input_without_video(tiny_engine: Path, data: bytes) -> None:
    done = from_stdin(tiny_engine, data)
    assert done.returncode == 5, done.stderr
    assert json.loads(done.stdout)["what"] == "- gives no picture"


def test_run_says_that_it_takes_files(tiny_engine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", str(tiny_engine), "-"]) == 2
    assert f"edgeseg live {tiny_engine} -" in capsys.readouterr().err
