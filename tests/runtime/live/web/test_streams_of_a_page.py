"""Several streams behind one page: each is asked for by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from tests.runtime.live.web.conftest import STATUS, ScriptedView, presented

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi", reason="the page needs the extra `web`")
connect = pytest.importorskip("websockets.sync.client").connect


@pytest.fixture
def views() -> dict[str, ScriptedView]:
    return {
        "left": ScriptedView(replace(STATUS, source="one", frames=7), presented(7)),
        "right": ScriptedView(replace(STATUS, source="two", state="pass-through", frames=9), presented(9)),
    }


@pytest.fixture
def server(views: dict[str, ScriptedView]) -> Iterator[Any]:
    from edgeseg.runtime.live.web.access import Address
    from edgeseg.runtime.live.web.server import PageServer

    with PageServer(Address("127.0.0.1", 0), max_viewers=1) as opened:
        opened.start(views)
        yield opened


def test_streams_are_listed_and_asked_for_by_name(server: Any, views: dict[str, ScriptedView]) -> None:
    url = server.url
    assert httpx.get(url + "api/streams").json()["streams"] == [
        {"name": "left", "source": "one", "state": "live"},
        {"name": "right", "source": "two", "state": "pass-through"},
    ]
    assert httpx.get(url + "api/state").json()["source"] == "one", "the first, where none is named"
    assert httpx.get(url + "api/state?stream=right").json()["source"] == "two"
    assert httpx.post(url + "api/overlay?stream=right", json={"mode": "heat"}).status_code == 200
    assert (views["left"].current.overlay, views["right"].current.overlay) == ("contour", "heat")
    picture = httpx.get(url + "api/snapshot?stream=right")
    assert 'filename="frame-right-000009.png"' in picture.headers["content-disposition"]
    assert (cv2.imdecode(np.frombuffer(picture.content, np.uint8), cv2.IMREAD_COLOR) == 9).all()
    missing = httpx.get(url + "api/state?stream=middle")
    assert missing.status_code == 404 and missing.json()["expected"] == ["left", "right"]


def test_probes_speak_for_the_box_or_for_one_stream(server: Any, views: dict[str, ScriptedView]) -> None:
    url = server.url
    ready = httpx.get(url + "readyz")
    assert (ready.status_code, ready.text) == (503, "left: live\nright: pass-through\n")
    assert httpx.get(url + "readyz?stream=left").status_code == 200
    views["right"].current = replace(STATUS, state="stopped")
    assert httpx.get(url + "healthz").status_code == 200, "one stream still runs"
    assert httpx.get(url + "healthz?stream=right").status_code == 503
    views["left"].current = replace(STATUS, state="stopped")
    assert httpx.get(url + "healthz").status_code == 503


def test_each_browser_gets_the_pictures_of_its_stream(server: Any) -> None:
    address = server.url.replace("http", "ws", 1) + "api/live"
    with connect(address + "?stream=left") as left, connect(address + "?stream=right") as right:
        server.offer(presented(3), "left")
        server.offer(presented(200), "right")
        for socket, index, source in ((left, 3, "one"), (right, 200, "two")):
            pictures, figures = [], []
            while not (pictures and figures):
                message = socket.recv(timeout=20)
                (pictures if isinstance(message, bytes) else figures).append(message)
            assert int.from_bytes(pictures[0][:4], "big") == index
            assert json.loads(figures[0])["source"] == source
        with connect(address + "?stream=left") as second, pytest.raises(Exception, match="1013"):
            second.recv(timeout=20)
        with connect(address + "?stream=middle") as nowhere, pytest.raises(Exception, match="4404"):
            nowhere.recv(timeout=20)


def test_metrics_of_streams_are_labelled_and_the_engines_are_told_once(server: Any) -> None:
    text = httpx.get(server.url + "metrics").text
    assert 'edgeseg_frames_total{stream="left"} 7.0' in text
    assert 'edgeseg_frames_total{stream="right"} 9.0' in text
    assert 'edgeseg_state{state="pass-through",stream="right"} 1.0' in text
    assert 'edgeseg_sink_dropped_total{sink="record",stream="left"} 1.0' in text
    assert "\nedgeseg_restarts_total 4.0" in text
    assert text.count("# TYPE edgeseg_frames_total ") == 1
