"""The command as a service manager runs it: signals, log lines, readiness."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import av
import pytest

from tests.runtime.live.web.running import RunningStream, write_engine

for package in ("fastapi", "uvicorn", "websockets", "prometheus_client"):
    pytest.importorskip(package)


def frames_in(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_service_tells_its_state_begins_new_files_and_ends_whole(tmp_path: Path) -> None:
    """READY and WATCHDOG to the service manager; SIGHUP after a rename; SIGTERM; every line of the log is JSON."""
    config, video = tmp_path / "box.toml", tmp_path / "raw.mp4"
    config.write_text(f'record = "{video}"\nlog-json = true\njson = true\nrecord-gated = true\n')
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        stream = RunningStream(write_engine(tmp_path), "--config", str(config), environment=environment)
        try:
            heard: list[str] = []
            while not {"READY=1", "WATCHDOG=1"} <= set(heard):
                heard += manager.recv(4096).decode().splitlines()
            assert any(line.startswith("STATUS=live") for line in heard)
            wait_for_bytes(video, manager)
            video.rename(tmp_path / "moved.mp4")
            os.kill(stream.process.pid, signal.SIGHUP)
            wait_for_bytes(video, manager)
            assert stream.end() == 143
            manager.setblocking(False)
            while "STOPPING=1" not in heard:
                heard += manager.recv(4096).decode().splitlines()
        finally:
            stream.end()
    records = [json.loads(line) for line in stream.lines if line != "terminated"]
    assert {"time", "level", "logger", "message"} <= set(records[0])
    assert any(record["message"].startswith("engine ready") for record in records)
    assert records[-1]["message"].startswith("stopped")
    document = json.loads(stream.output)
    (sink,) = [sink for sink in document["sinks"] if sink["name"].startswith("raw")]
    assert sink["failures"] == 0
    assert sink["written"] + sink["dropped"] == document["frames"]  # a busy machine may drop some
    assert frames_in(tmp_path / "moved.mp4") + frames_in(video) == sink["written"], "and the change of files loses none"
    assert min(frames_in(tmp_path / "moved.mp4"), frames_in(video)) > 5


def wait_for_bytes(video: Path, manager: socket.socket) -> None:
    """Until a group of pictures has been written; the service manager's messages tell the time meanwhile."""
    while not (video.exists() and video.stat().st_size > 5000):
        manager.recv(4096)
