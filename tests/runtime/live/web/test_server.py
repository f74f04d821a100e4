"""The page's server over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.errors import UsageError
from edgeseg.runtime.live.page_view import PageSink
from edgeseg.runtime.live.web.access import RateLimit
from edgeseg.runtime.live.web.newest_picture import HEADER
from tests.runtime.live.web.conftest import STATUS, ScriptedView, presented

httpx = pytest.importorskip("httpx")
app_module = pytest.importorskip("edgeseg.runtime.live.web.app", reason="the page needs the extra `web`")
ConnectionClosed = pytest.importorskip("websockets").ConnectionClosed
Serve = Callable[..., Any]
TOKEN = "0123456789abcdef"


def _live(server: Any, **headers: str) -> Any:
    from websockets.sync.client import connect

    url = server.url.replace("http", "ws", 1) + "api/live"
    return connect(url, additional_headers=headers, open_timeout=5)


def _picture(socket: Any) -> tuple[int, Any]:
    """The next picture: frame index and BGR."""
    message = _message(socket)
    jpeg = np.frombuffer(message[HEADER.size :], np.uint8)
    return int.from_bytes(message[:4], "big"), cv2.imdecode(jpeg, cv2.IMREAD_COLOR)


def _message(socket: Any) -> bytes:
    """The next picture as it is sent."""
    while not isinstance(message := socket.recv(timeout=5), bytes):
        pass
    return message


def test_state_passport_events_and_probes(serve: Serve, view: ScriptedView) -> None:
    view.noted.append({"event": "appeared", "structure": "polyp", "time": "2026-01-31T12:00:00.250Z", "frame": 3})
    url = serve().url
    state = httpx.get(url + "api/state").json()
    for key in ("state", "frames", "drops", "deadline_misses", "restarts"):
        assert state[key] == getattr(STATUS, key)
    assert state["picture_age_ms"] == {"p50": 2.0, "p99": 5.0}
    assert state["mask_age_ms"] == {"p50": 40.0, "p99": None}
    assert httpx.get(url + "api/passport").json() == {"precision": "int8"}
    assert httpx.get(url + "api/events").json() == {"events": view.noted}
    assert httpx.get(url + "healthz").status_code == 200
    assert httpx.get(url + "readyz").status_code == 200
    for now, ready, healthy in (("pass-through", 503, 200), ("degraded", 200, 200), ("stopped", 503, 503)):
        view.current = replace(STATUS, state=now)
        assert httpx.get(url + "readyz").status_code == ready
        assert httpx.get(url + "healthz").status_code == healthy


def test_metrics_are_prometheus_text_with_the_statuss_figures(serve: Serve) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    answer = httpx.get(serve().url + "metrics")
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parser.text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["edgeseg_frames_total", ()] == 100
    assert samples["edgeseg_restarts_total", ()] == 4
    assert samples["edgeseg_state", (("state", "live"),)] == 1
    assert samples["edgeseg_state", (("state", "pass-through"),)] == 0
    assert samples["edgeseg_picture_age_seconds", (("quantile", "0.99"),)] == pytest.approx(0.005)
    assert ("edgeseg_mask_age_seconds", (("quantile", "0.99"),)) not in samples, "what is not known is not told"
    assert samples["edgeseg_sink_dropped_total", (("sink", "record"),)] == 1


def test_the_guides_alerts_ask_for_metrics_that_are_there(serve: Serve) -> None:
    text = httpx.get(serve().url + "metrics").text
    there = set(re.findall(r"^(edgeseg_\w+)", text, re.MULTILINE))
    named = set(re.findall(r"edgeseg_\w+", (Path(__file__).parents[4] / "docs" / "how-to" / "live.md").read_text()))
    assert len(named) >= 4 and named <= there
    assert 'edgeseg_state{state="pass-through"}' in text


def test_the_page_loads_nothing_from_elsewhere_and_says_so(serve: Serve) -> None:
    url = serve().url
    page = httpx.get(url)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "server" not in page.headers
    for name in ("", "page.js", "page.css", "icon.svg"):
        answer = httpx.get(url + name)
        assert answer.status_code == 200
        text = answer.text.replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text
        assert "https://" not in text


def test_the_overlay_is_switched_and_nonsense_refused(serve: Serve, view: ScriptedView) -> None:
    url = serve().url + "api/overlay"
    assert httpx.post(url, json={"mode": "heat"}).json() == {"overlay": "heat"}
    assert view.current.overlay == "heat"
    assert httpx.post(url, json={"mode": "pink"}).status_code == 422
    assert httpx.post(url, json=[1]).status_code == 422
    for body in (b"[" * 1024, b'{"mode": NaN}', b"\xff"):
        assert httpx.post(url, content=body, headers={"content-type": "application/json"}).status_code == 422
    assert httpx.post(url, content=b'{"mode": "fill"}', headers={"content-type": "text/plain"}).status_code == 415
    assert httpx.post(url, json={"mode": "fill"}, headers={"origin": "http://evil.example"}).status_code == 403
    assert view.current.overlay == "heat"


def test_snapshots_are_whole_pictures(serve: Serve, view: ScriptedView) -> None:
    url = serve().url + "api/snapshot"
    assert httpx.get(url).status_code == 503
    view.newest = presented(7)
    answer = httpx.get(url, params={"raw": "true"})
    assert 'filename="frame-000007-raw.png"' in answer.headers["content-disposition"]
    image = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (48, 64, 3)
    assert (image == 7).all()


def test_a_browser_gets_pictures_and_a_slow_one_leaves_them_out(serve: Serve) -> None:
    server = serve()
    stop = threading.Event()

    def show() -> None:
        index = 0
        while not stop.wait(0.01):
            server.offer(presented(index))
            index += 1

    shower = threading.Thread(target=show)
    shower.start()
    try:
        with _live(server) as socket:
            first, image = _picture(socket)
            assert abs(int(image[20, 20, 0]) - first % 256) <= 2
            time.sleep(0.5)
            socket.send("drawn")
            second, _ = _picture(socket)
            assert second - first > 20, "what was shown in between is not sent late"
    finally:
        stop.set()
        shower.join()


def test_figures_come_beside_the_pictures(serve: Serve) -> None:
    with _live(serve()) as socket:
        message = socket.recv(timeout=5)
        assert json.loads(message)["state"] == "live"


def test_without_the_token_nothing_is_shown(serve: Serve) -> None:
    server = serve(token=TOKEN)
    for path in ("", "api/state", "metrics", "api/snapshot", "page.js"):
        assert httpx.get(server.url + path).status_code == 401
    assert httpx.post(server.url + "api/overlay", json={"mode": "off"}).status_code == 401
    assert httpx.get(server.url + "healthz").status_code == 200
    with _live(server) as socket, pytest.raises(Exception, match="4401"):
        socket.recv(timeout=5)
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.get(server.url + "api/state", headers=bearer).status_code == 200
    with _live(server, Authorization=f"Bearer {TOKEN}") as socket:
        assert json.loads(socket.recv(timeout=5))["frames"] == 100


def test_a_token_in_the_address_becomes_a_cookie_that_scripts_do_not_see(serve: Serve) -> None:
    server = serve(token=TOKEN)
    answer = httpx.get(server.url, params={"token": TOKEN})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert httpx.get(server.url, cookies={"edgeseg_token": TOKEN}).status_code == 200
    assert httpx.get(server.url, params={"token": "wrong"}).status_code == 401


def test_another_sites_page_cannot_look_through_the_browser(serve: Serve) -> None:
    server = serve()
    assert httpx.get(server.url + "api/state", headers={"Host": "evil.example"}).status_code == 403
    with _live(server, Origin="http://evil.example") as socket, pytest.raises(Exception, match="4401"):
        socket.recv(timeout=5)


def test_one_viewer_too_many_is_sent_away_and_may_come_again(serve: Serve) -> None:
    server = serve(max_viewers=1)
    with _live(server) as first:
        first.recv(timeout=5)
        with _live(server) as second, pytest.raises(Exception, match="1013"):
            second.recv(timeout=5)
    server.offer(presented(1))
    until_s = time.monotonic() + 15
    while time.monotonic() < until_s:
        server.offer(presented(int(time.monotonic() * 1000) % 1000))
        with _live(server) as again:
            try:
                again.recv(timeout=5)
                return
            except Exception:
                time.sleep(0.2)
    pytest.fail("the first viewer's place was never freed")


def test_too_many_requests_are_refused(serve: Serve) -> None:
    url = serve().url + "healthz"
    with ThreadPoolExecutor(16) as pool, httpx.Client(limits=httpx.Limits(max_connections=16)) as client:
        codes = list(pool.map(lambda _: client.get(url).status_code, range(400)))
    assert codes[0] == 200
    assert 429 in codes


def test_guesses_over_the_live_connection_are_limited_too(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "RateLimit", lambda: RateLimit(burst=2, per_s=0.0))
    server, reasons = serve(token=TOKEN), []
    for _ in range(3):
        with _live(server, Authorization="Bearer wrong") as socket:
            with pytest.raises(ConnectionClosed) as end:
                socket.recv(timeout=10)
            reasons.append(end.value.rcvd.reason)
    assert reasons == ["a token is needed", "a token is needed", "too many requests"]


def test_a_body_without_end_is_not_read_to_its_end() -> None:
    class Endless:
        async def stream(self) -> AsyncIterator[bytes]:
            while True:
                yield b" " * 100

    read = app_module._short_body(Endless())  # type: ignore[arg-type]
    assert len(asyncio.run(asyncio.wait_for(read, 20))) == app_module.MAX_BODY_BYTES


def test_a_picture_says_how_long_ago_it_was_shown_and_its_browser_heard(serve: Serve) -> None:
    server = serve()
    with _live(server) as socket:
        old = presented(1)
        server.offer(replace(old, presented_ns=old.presented_ns - 5_000_000_000))
        index, width, held_ms, _ = HEADER.unpack(_message(socket)[: HEADER.size])
        assert (index, width) == (1, 64)
        assert held_ms >= 4990
        socket.send("drawn")
        time.sleep(0.3)
        sent_s = time.monotonic()
        server.offer(presented(2))
        index, _, held_ms, quiet_ms = HEADER.unpack(_message(socket)[: HEADER.size])
        passed_ms = (time.monotonic() - sent_s) * 1e3
        assert index == 2
        assert held_ms <= passed_ms + 5
        assert quiet_ms >= 290


def test_a_viewer_whose_figures_fail_is_not_shown_pictures_beside_an_old_state(
    serve: Serve, view: ScriptedView
) -> None:
    server = serve()
    with _live(server) as socket:
        assert json.loads(socket.recv(timeout=10))["state"] == "live"
        view.status = lambda: 1 / 0  # type: ignore[assignment, method-assign, return-value]
        with pytest.raises(ConnectionClosed):
            until_s = time.monotonic() + 60
            while time.monotonic() < until_s:
                server.offer(presented(time.monotonic_ns() % 2**31))
                with contextlib.suppress(TimeoutError):
                    if isinstance(socket.recv(timeout=0.05), bytes):
                        socket.send("drawn")


def test_a_server_that_ends_by_itself_is_a_failed_sink(serve: Serve) -> None:
    server = serve()
    sink = PageSink(server)
    assert sink.counts().state == "ok"
    server._server.should_exit = True
    server._thread.join(20)
    assert sink.counts().state == "failed"
    assert "by itself" in sink.counts().last_error


def test_a_taken_port_is_said_before_anything_starts(serve: Serve) -> None:
    from edgeseg.runtime.live.web.access import Address
    from edgeseg.runtime.live.web.server import PageServer

    taken = serve().address
    with pytest.raises(UsageError, match="cannot listen"):
        PageServer(Address("127.0.0.1", taken.port))
