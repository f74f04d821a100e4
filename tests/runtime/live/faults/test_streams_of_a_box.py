"""Two real streams on one set of engine processes: what befalls one, held against a run of the other alone."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from edgeseg.runtime.live.assembly import live_box
from edgeseg.runtime.live.live_box import LiveBox
from edgeseg.runtime.live.settings import EngineSettings, LiveSettings
from edgeseg.runtime.live.status import LiveStatus
from edgeseg.runtime.live.stream_names import streams_of
from tests.runtime.live.faults.conftest import PATIENCE_S, until

CALM = "calm=synthetic:320x240@10"
MARGIN_MS = 60.0
"""A busy machine adds so much to a median age by itself; the frame period is 100 ms."""
pytestmark = pytest.mark.long


class Opened:
    """A box in a thread."""

    def __init__(self, engine: Path, *sources: str) -> None:
        settings = LiveSettings(engine, "", processes=EngineSettings(threads=1))
        self._opening = live_box(streams_of(settings, sources), lambda text: None)
        self.statuses: list[LiveStatus] = []

    def __enter__(self) -> LiveBox:
        self.box = self._opening.__enter__()
        self._thread = threading.Thread(target=lambda: self.statuses.extend(self.box.run()), daemon=True)
        self._thread.start()
        return self.box

    def __exit__(self, *error: Any) -> None:
        self.box.stop()
        self._thread.join(PATIENCE_S)
        self._opening.__exit__(*error)


def _alone(engine: Path, frames: int) -> LiveStatus:
    opened = Opened(engine, CALM)
    with opened as box:
        until(lambda: box.streams[0].status().frames >= frames)
    return opened.statuses[0]


def _check_calm(calm: LiveStatus, alone: LiveStatus) -> None:
    """No frame is missing, ages are those of a run alone, and masks are within their limit."""
    assert calm.skipped == 0
    for figure in ("picture_age_ms", "mask_age_ms"):
        beside, before = getattr(calm, figure)["p50"], getattr(alone, figure)["p50"]
        assert beside <= before + MARGIN_MS, (figure, beside, before)
    assert calm.inferences >= 0.8 * calm.frames
    assert (calm.mask_age_ms["p50"] or 0.0) <= calm.mask_limit_ms


def test_a_server_that_dies_and_returns_costs_the_other_stream_nothing(tiny_onnx: Path, rtsp_server: Any) -> None:
    alone = _alone(tiny_onnx, 60)
    server = rtsp_server()
    opened = Opened(tiny_onnx, f"scope={server.url}", CALM)
    with opened as box:
        scope, calm = box.streams
        until(lambda: scope.status().inferences >= 5)
        server.kill()
        until(lambda: "no frame from the source" in scope.state.reason)
        shown = calm.status().frames
        until(lambda: calm.status().frames >= shown + 40)
        assert "source" not in calm.state.reason
        before = scope.status().frames
        rtsp_server(port=server.port)
        until(lambda: scope.status().frames >= before + 10)
        _check_calm(calm.status(), alone)


def test_a_server_that_never_was_there_ends_nothing_and_is_found_when_it_comes(
    tiny_onnx: Path, rtsp_server: Any
) -> None:
    server = rtsp_server()
    port, url = server.port, server.url
    server.kill()
    alone = _alone(tiny_onnx, 60)
    with Opened(tiny_onnx, f"scope={url}", CALM) as box:
        scope, calm = box.streams
        until(lambda: calm.status().frames >= 80)
        assert scope.state.state == "starting" and not scope.is_ending, "3 attempts end a stream that is alone"
        _check_calm(calm.status(), alone)
        rtsp_server(port=port)
        until(lambda: scope.status().inferences >= 3)
