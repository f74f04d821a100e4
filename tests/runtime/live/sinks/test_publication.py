from __future__ import annotations

import contextlib
import dataclasses
import itertools
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from edgeseg.errors import MissingComponentError, UsageError
from edgeseg.runtime.live.live_values import Presented
from edgeseg.runtime.live.sinks import sink as sink_module
from edgeseg.runtime.live.sinks.encoded import EncodedWriter, Publication
from edgeseg.runtime.live.sinks.sink import Retry
from edgeseg.runtime.live.sinks.sink_choice import publishing_sink
from edgeseg.runtime.video.picture import Picture
from tests.runtime.live.sinks.decoding import decoded, number

Until = Callable[[Callable[[], bool]], None]


def test_hls_is_a_playlist_that_plays(tmp_path: Path, showing: Any) -> None:
    path = tmp_path / "live" / "a.m3u8"
    writer = EncodedWriter(Publication(str(path)), lambda: showing.timing, "raw")
    for index in range(100):
        writer.write(showing(index))
    text = path.read_text()
    assert "#EXT-X-ENDLIST" not in text and text.count(".ts") >= 2
    writer.close()
    assert [number(frame) for frame in decoded(path)] == list(range(100))


LISTENER = """
import sys
import av
try:
    container = av.open(sys.argv[1], options=dict(zip(sys.argv[2::2], sys.argv[3::2])), timeout=(20.0, 20.0))
    for index, frame in enumerate(container.decode(video=0)):
        row = frame.to_ndarray()[frame.height // 2]
        print(sum(1 << bit for bit in range(8) if row[(2 * bit + 1) * frame.width // 16] > 127), flush=True)
        if index == 20:
            break
except av.FFmpegError as error:
    print(error, flush=True)
"""


LISTENING = {
    "tcp": ("tcp://127.0.0.1:{port}", "?listen=1", ("listen", "1")),
    "rtsp": ("rtsp://127.0.0.1:{port}/a", "", ("rtsp_flags", "listen", "listen_timeout", "20")),
    "rtmp": ("rtmp://127.0.0.1:{port}/live/a", "", ("listen", "1")),
    "srt": ("srt://127.0.0.1:{port}", "?mode=listener", ()),
    "udp": ("udp://127.0.0.1:{port}", "?timeout=20000000", ()),
}
"""A sink's address, what the listener's address has beside it, and the listener's options."""


@pytest.mark.parametrize("scheme", LISTENING)
def test_a_stream_reaches_who_listens_and_its_end_harms_nobody(
    scheme: str, showing: Any, until: Until, tmp_path: Path
) -> None:
    address, more_words, option = LISTENING[scheme]
    url = address.format(port=_free_port())
    if scheme == "srt":
        _skip_without_srt()
    words = [sys.executable, "-c", LISTENER, url + more_words, *option]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as listener:
        try:
            sink = publishing_sink(url, lambda: showing.timing, "raw")
            sink._retry = Retry(0.1, 0.2)
            index = 0
            while listener.poll() is None:
                sink.offer(showing(index))
                index += 1
                until(lambda: len(sink._waiting) < 4 or listener.poll() is not None)
                assert index < 20_000
        finally:
            listener.kill()
        assert listener.stdout is not None
        text = listener.stdout.read()
        assert "Errno" not in text, (text, sink.counts())
        numbers = [int(line) for line in text.split()]
    assert len(numbers) == 21, numbers
    assert all((later - earlier) % 256 == 1 for earlier, later in itertools.pairwise(numbers))
    for more in range(400):
        sink.offer(showing(index + more))
    sink.close(20)
    assert sink.counts().written > 21


def _skip_without_srt() -> None:
    """The sink's own refusal, where the listener cannot listen either."""
    with contextlib.suppress(av.FFmpegError):
        try:
            av.open("srt://").close()
        except av.error.ProtocolNotFoundError:
            with pytest.raises(MissingComponentError, match="no SRT"):
                publishing_sink("srt://127.0.0.1:9", lambda: None, "raw")  # type: ignore[arg-type, return-value]
            pytest.skip("this build of PyAV has no SRT")


def test_a_peer_that_takes_nothing_blocks_its_own_sink_alone(
    showing: Any, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It accepts the connection and never reads: the network's buffers fill, and a write blocks for good."""
    monkeypatch.setattr(sink_module, "STALLED_S", 1.0)
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.bind(("127.0.0.1", 0))
        peer.listen()
        sink = publishing_sink(f"tcp://127.0.0.1:{peer.getsockname()[1]}", lambda: showing.timing, "raw")
        noise = itertools.cycle([_noise(showing, seed) for seed in range(4)])

        def is_stalled() -> bool:
            sink.offer(next(noise))
            return sink.counts().state == "failed"

        until(is_stalled)
        assert "a write has taken" in sink.counts().last_error and sink.counts().dropped
        written = sink.counts().written

        def goes_on() -> bool:
            sink.offer(next(noise))
            return sink.counts().written > written + 3

        until(goes_on)  # over another connection
    sink.close(20)
    assert sink.counts().failures


def _noise(showing: Any, seed: int) -> Presented:
    planes = np.random.default_rng(seed).integers(16, 235, (720, 640), np.uint8)
    presented = showing(seed)
    frame = dataclasses.replace(presented.frame, picture=Picture.of_i420(480, 640, planes))
    return dataclasses.replace(presented, frame=frame)


def test_addresses(tmp_path: Path) -> None:
    for url in ("gopher://a", "file.mp4", "ftp://a/b.m3u8"):
        with pytest.raises(UsageError, match="cannot stream to"):
            Publication(url)
    assert publishing_sink("rtsp://user:secret@box:8554/a", None).name == "overlay rtsp://***@box:8554/a"
    assert publishing_sink("live/a.m3u8", None).name == "overlay live/a.m3u8"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_an_address_that_is_refused_shows_no_password() -> None:
    with pytest.raises(UsageError) as refused:
        Publication("https://doctor:secret@host/live")
    assert "secret" not in str(refused.value)
