"""An HTTP server that sends a stream, breaks off, and is asked again."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from edgeseg.runtime.live.sources.contract import SourceOptions
from edgeseg.runtime.live.sources.faults import SourceLostError
from edgeseg.runtime.live.sources.source_opening import open_live_source

QUICK = SourceOptions(first_pause_s=0.05, longest_pause_s=0.2, buffer_s=60)


class Handler(BaseHTTPRequestHandler):
    """Sends what `answers` has for a path, whole and at once."""

    answers: dict[str, tuple[int, str, bytes]]

    def do_GET(self) -> None:
        status, kind, data = self.answers.get(self.path, (404, "text/plain", b""))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def http_server() -> Iterator[Any]:
    answers: dict[str, tuple[int, str, bytes]] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Answering", (Handler,), {"answers": answers}))
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def serve(path: str, data: bytes, status: int = 200, kind: str = "video/mp2t") -> str:
        answers[path] = (status, kind, data)
        return f"http://viewer:hush@127.0.0.1:{server.server_port}{path}"

    yield serve
    server.shutdown()
    server.server_close()


def test_a_stream_that_ends_is_asked_again(
    http_server: Any, tmp_path: Path, numbered: Any, videos: Any, collect: Any
) -> None:
    images = [numbered.draw(number) for number in range(20)]
    path = videos.write(tmp_path / "a.ts", images, options={"preset": "ultrafast", "tune": "zerolatency"})
    source = open_live_source(http_server("/a.ts", path.read_bytes()), QUICK)
    collector = collect(source)
    collector.until(lambda: source.status().reconnects >= 2)
    frames = list(collector.frames)
    assert [numbered.read(frame.picture.bgr) for frame in frames[:40]] == [*range(20)] * 2
    assert all(before.pts < after.pts for before, after in pairwise(frames))
    assert source.status().last_error == "the stream ended"
    assert "hush" not in source.name


@pytest.mark.parametrize(
    ("status", "words"), [(401, "(401)"), (403, "(403)"), (404, "(404)"), (503, "the server fails (5xx)")]
)
def test_what_the_server_answers(http_server: Any, collect: Any, status: int, words: str) -> None:
    error = collect(open_live_source(http_server("/a", b"", status), QUICK)).end()
    assert isinstance(error, SourceLostError)
    assert words in str(error.found)
    assert "hush" not in f"{error} {error.to_dict()}"


def test_a_web_page_is_no_video(http_server: Any, collect: Any) -> None:
    page = http_server("/", b"<html>log in, please</html>" * 100, kind="text/html")
    error = collect(open_live_source(page, QUICK)).end()
    assert isinstance(error, SourceLostError)
    assert "no video" in str(error.found)


def test_a_playlist_cannot_name_files_of_this_machine(http_server: Any, collect: Any, numbered_clip: Path) -> None:
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{numbered_clip}\n#EXT-X-ENDLIST\n"
    url = http_server("/live.m3u8", playlist.encode(), kind="application/vnd.apple.mpegurl")
    collector = collect(open_live_source(url, QUICK))
    assert isinstance(collector.end(), SourceLostError)
    assert collector.frames == []


RATE_HZ = 12


class PacedHandler(Handler):
    """Sends one picture after the other, twelve a second, as a camera does that says nothing of its rate."""

    def do_GET(self) -> None:
        begin, pictures, end = self.server.parts  # type: ignore[attr-defined]
        self.send_response(200)
        if begin is not None:
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        started_s = time.monotonic()
        try:
            for index in itertools.count():
                picture = pictures[index % len(pictures)]
                head = b"" if begin is None else begin + b"Content-Length: %d\r\n\r\n" % len(picture)
                self.wfile.write(head + picture + end)
                time.sleep(max(0, started_s + (index + 1) / RATE_HZ - time.monotonic()))
        except (BrokenPipeError, ConnectionResetError):
            pass


@pytest.fixture
def slow_camera() -> Iterator[Any]:
    servers = []

    def serve(begin: bytes | None, pictures: list[bytes], end: bytes) -> str:
        server: Any = ThreadingHTTPServer(("127.0.0.1", 0), PacedHandler)
        server.parts, server.daemon_threads = (begin, pictures, end), True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/cam"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mjpeg", "h264"])
def test_where_a_stream_has_no_clock_the_arrival_counts(
    slow_camera: Any, tmp_path: Path, videos: Any, collect: Any, kind: str
) -> None:
    """FFmpeg makes 25 a second of it, whatever the rate."""
    noise = np.random.default_rng(0)  # much data: FFmpeg reads raw streams in blocks
    images = [noise.integers(0, 255, (120, 160, 3), dtype=np.uint8) for _ in range(30)]
    if kind == "mjpeg":
        pictures = [cv2.imencode(".jpg", image)[1].tobytes() for image in images]
        url = slow_camera(b"--frame\r\nContent-Type: image/jpeg\r\n", pictures, b"\r\n")
    else:
        options = {"preset": "ultrafast", "tune": "zerolatency", "g": "10"}
        path = videos.write(tmp_path / "a.h264", images, options=options)
        with av.open(str(path)) as container:
            pictures = [bytes(packet) for packet in container.demux(video=0) if packet.size]
        url = slow_camera(None, pictures, b"")
    source = open_live_source(url, QUICK)
    frames = collect(source).wait_for(60)
    source.close()
    late = frames[-25:]  # past what FFmpeg held back to probe
    stated_s = float((late[-1].pts - late[0].pts) * late[0].time_base)
    assert stated_s == pytest.approx((late[-1].arrived_ns - late[0].arrived_ns) / 1e9, abs=0.01)
    assert stated_s == pytest.approx(24 / RATE_HZ, rel=0.25)
