"""An HTTP server that sends a stream, breaks off, and is asked again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from edgeseg.runtime.live.sources.contract import SourceOptions
from edgeseg.runtime.live.sources.faults import SourceLostError
from edgeseg.runtime.live.sources.opening import open_live_source

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
