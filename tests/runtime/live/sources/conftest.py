"""A real RTSP server that can be killed and stopped, and a reader that collects frames in a thread."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeseg.runtime.live.sources.contract import LiveSource
from edgeseg.runtime.video.source import SourceFrame

SYSTEM_PYTHON = "/usr/bin/python3"
PATIENCE_S = 60.0
"""Nothing here takes so long unless it is broken."""
H264 = "openh264enc gop-size=10 ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1"


def launch(width: int = 160, height: int = 120, rate: int = 25, encode: str = H264) -> str:
    """The server sends this: a test picture with a moving ball."""
    raw = f"video/x-raw,format=I420,width={width},height={height},framerate={rate}/1"
    return f"videotestsrc is-live=true pattern=ball ! {raw} ! {encode}"


def needs(program: str, reason: str) -> None:
    """Skip, or fail where system packages are required."""
    try:
        probe = subprocess.run([SYSTEM_PYTHON, "-c", program], capture_output=True, timeout=60, check=False)
        if probe.returncode == 0:
            return
        why = probe.stderr.decode().strip().splitlines()[-1:]
    except OSError as error:
        why = [str(error)]
    text = f"{reason} is not installed ({', '.join(why)}); sudo make system-packages brings it"
    if os.environ.get("EDGESEG_REQUIRE_SYSTEM") == "1":
        pytest.fail(text)
    pytest.skip(text)


_ELEMENTS = "videotestsrc openh264enc h264parse rtph264pay avdec_h264 jpegenc audiotestsrc appsink"
_GSTREAMER = f"""
import gi
for name in ("Gst", "GstApp", "GstVideo"): gi.require_version(name, "1.0")
from gi.repository import Gst
Gst.init(None)
absent = [name for name in {_ELEMENTS!r}.split() if Gst.ElementFactory.find(name) is None]
assert not absent, absent
"""


@pytest.fixture(scope="session")
def gstreamer() -> None:
    """GStreamer with PyGObject and a software decoder."""
    needs(_GSTREAMER, "GStreamer for the system's python3")


@pytest.fixture(scope="session")
def rtsp_packages(gstreamer: None) -> None:
    needs("import gi; gi.require_version('GstRtspServer', '1.0')", "gst-rtsp-server")


class RtspServer:
    """A server process."""

    def __init__(self, sends: str, user: str = "", password: str = "", port: int = 0) -> None:
        arguments = [SYSTEM_PYTHON, str(Path(__file__).with_name("rtsp_server.py")), str(port), sends]
        login = [user, password] if user else []
        self.process = subprocess.Popen([*arguments, *login], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.url = f"rtsp://127.0.0.1:{self.port}/live"

    def stall(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def rtsp_server(rtsp_packages: None) -> Iterator[Callable[..., RtspServer]]:
    """Starts servers; all are killed at the end."""
    servers: list[RtspServer] = []

    def start(sends: str | None = None, **settings: Any) -> RtspServer:
        servers.append(RtspServer(sends or launch(), **settings))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.kill()


class Collector:
    """Iterates a source in a thread, as a pipeline does."""

    def __init__(self, source: LiveSource) -> None:
        self.source = source
        self.frames: list[SourceFrame] = []
        self.error: BaseException | None = None
        self._changed = threading.Condition()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            for frame in self.source.frames():
                with self._changed:
                    self.frames.append(frame)
                    self._changed.notify_all()
        except BaseException as error:
            self.error = error
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, count: int) -> list[SourceFrame]:
        """The frames so far, once there are as many."""
        self.until(lambda: len(self.frames) >= count)
        return list(self.frames)

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for what is said to hold."""
        with self._changed:
            for _ in range(round(PATIENCE_S / 0.05)):
                if holds():
                    return
                assert self.thread.is_alive() or holds(), f"ended: {self.error!r}, {self.source.status()}"
                self._changed.wait(0.05)
        pytest.fail(f"in {PATIENCE_S:g} s not seen; {len(self.frames)} frames, {self.source.status()}")

    def end(self) -> BaseException | None:
        """Wait until it ends by itself; its error."""
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()
        return self.error


@pytest.fixture
def collect() -> Iterator[Callable[[LiveSource], Collector]]:
    """Starts collectors; every source is closed at the end and must end."""
    collectors: list[Collector] = []

    def start(source: LiveSource) -> Collector:
        collectors.append(Collector(source))
        return collectors[-1]

    yield start
    for collector in collectors:
        collector.source.close()
        collector.thread.join(10)
        assert not collector.thread.is_alive()


@pytest.fixture
def sent() -> Callable[..., str]:
    """The stream that a server is to send."""
    return launch
