"""The page's routes."""

# No `from __future__ import annotations`: FastAPI reads the annotations of nested functions.
import asyncio
import contextlib
import json
import logging
import time
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, get_args

from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect

from edgeseg.runtime.live.web.access import (
    COOKIE,
    SECURITY_HEADERS,
    Address,
    RateLimit,
    is_own_host,
    is_own_origin,
    is_token,
)
from edgeseg.runtime.live.web.newest_picture import PictureFeed, encode_png, header_of
from edgeseg.runtime.live.web.prometheus_metrics import exposition
from edgeseg.runtime.live.web.stream_view import View
from edgeseg.runtime.video.overlay import OverlayMode
from edgeseg.strict_text import parse_json

STATIC = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
OPEN_PATHS = ("/healthz", "/readyz")
"""Paths for probes that hold no token; they tell a state and no picture."""
STATUS_S = 0.25
MAX_BODY_BYTES = 1024
ACK_S = 10.0
"""A browser that does not answer for so long is gone."""
TOO_MANY, NOT_ALLOWED = 1013, 4401
"""WebSocket close codes: try again later; no token."""


_GONE = (WebSocketDisconnect, asyncio.TimeoutError, RuntimeError)
"""How a viewer who leaves, or whose network does, ends what is sent to him."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PageOptions:
    """Who may look, and how many at once."""

    address: Address
    token: str | None = None
    max_viewers: int = 8


def make_app(view: View, feed: PictureFeed, options: PageOptions) -> FastAPI:
    """The page of one stream.

    Args:
        view: The stream.
        feed: Its pictures.
        options: Who may look.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    limit = RateLimit()
    _add_guard(app, options, limit)
    _add_static(app)
    _add_figures(app, view)
    _add_actions(app, view)
    _add_stream(app, view, feed, options, limit)
    return app


def _add_guard(app: FastAPI, options: PageOptions, limit: RateLimit) -> None:
    @app.middleware("http")
    async def guard(request: Request, call_next: Any) -> Response:
        response = _refusal(request, options, limit) or await call_next(request)
        for name, value in SECURITY_HEADERS.items():
            response.headers[name] = value
        return response


def _refusal(request: Request, options: PageOptions, limit: RateLimit) -> Response | None:
    host = request.headers.get("host", "")
    client = request.client.host if request.client else ""
    if not limit.allows(client):
        return Response("too many requests\n", 429, {"Retry-After": "1"})
    if not is_own_host(host, options.address) or not is_own_origin(request.headers.get("origin"), host):
        return Response("this is another server's request\n", 403)
    if request.url.path in OPEN_PATHS or is_token(_shown(request), options.token):
        return None
    if request.method == "GET" and is_token(request.query_params.get("token", ""), options.token):
        return _entered(request)
    return Response(
        "a token is needed: open /?token=TOKEN once, or send Authorization: Bearer TOKEN\n",
        401,
        {"WWW-Authenticate": "Bearer"},
    )


def _entered(request: Request) -> Response:
    """Keep the token in a cookie that no script reads, and take it out of the address."""
    response = Response(status_code=303, headers={"Location": request.url.path})
    secure = request.url.scheme == "https"
    token = request.query_params["token"]
    response.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=secure, max_age=12 * 3600)
    return response


def _shown(connection: Any) -> str:
    kind, _, value = str(connection.headers.get("authorization", "")).partition(" ")
    return value if kind.lower() == "bearer" else str(connection.cookies.get(COOKIE, ""))


def _add_static(app: FastAPI) -> None:
    folder = files("edgeseg.runtime.live.web").joinpath("static")
    for path, (name, media_type) in STATIC.items():
        content = folder.joinpath(name).read_bytes()
        app.add_api_route(path, _constant(content, media_type), methods=["GET"])


def _constant(content: bytes, media_type: str) -> Any:
    async def answer() -> Response:
        return Response(content, media_type=media_type)

    return answer


def _add_figures(app: FastAPI, view: View) -> None:
    @app.get("/api/state")
    async def state() -> Response:
        return _json(view.status().to_dict())

    @app.get("/api/passport")
    async def passport() -> Response:
        return _json(view.passport())

    @app.get("/api/events")
    async def events() -> Response:
        return _json({"events": list(view.events())})

    @app.get("/metrics")
    async def metrics() -> Response:
        text, media_type = exposition(view.status)
        return Response(text, media_type=media_type)

    @app.get("/healthz")
    async def healthz() -> Response:
        state = view.status().state
        return Response(f"{state}\n", 503 if state == "stopped" else 200, media_type="text/plain")

    @app.get("/readyz")
    async def readyz() -> Response:
        state = view.status().state
        return Response(f"{state}\n", 200 if state in ("live", "degraded") else 503, media_type="text/plain")


def _add_actions(app: FastAPI, view: View) -> None:
    @app.post("/api/overlay")
    async def overlay(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return _json({"error": "expected application/json"}, 415)
        try:
            mode = parse_json((await _short_body(request)).decode()).get("mode")
        except (ValueError, AttributeError):
            mode = None
        if mode not in get_args(OverlayMode):
            return _json({"error": "no such overlay", "expected": get_args(OverlayMode)}, 422)
        view.set_overlay(mode)
        return _json({"overlay": mode})

    @app.get("/api/snapshot")
    async def snapshot(raw: bool = False) -> Response:
        newest = view.newest
        if newest is None:
            return _json({"error": "there is no picture yet"}, 503)
        picture = newest.frame.picture if raw else newest.overlay
        png = await asyncio.to_thread(encode_png, picture)
        name = f"frame-{newest.frame.index:06d}{'-raw' if raw else ''}.png"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(png, media_type="image/png", headers=headers)


async def _short_body(request: Request) -> bytes:
    """The beginning of a body; what goes on without end is not read."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            break
    return body[:MAX_BODY_BYTES]


def _add_stream(app: FastAPI, view: View, feed: PictureFeed, options: PageOptions, limit: RateLimit) -> None:
    viewers = 0

    @app.websocket("/api/live")
    async def live(socket: WebSocket) -> None:
        nonlocal viewers
        host = socket.headers.get("host", "")
        await socket.accept()
        if not limit.allows(socket.client.host if socket.client else ""):
            await socket.close(TOO_MANY, "too many requests")
            return
        own = is_own_host(host, options.address) and is_own_origin(socket.headers.get("origin"), host)
        if not own or not is_token(_shown(socket), options.token):
            await socket.close(NOT_ALLOWED, "a token is needed")
            return
        if viewers >= options.max_viewers:
            await socket.close(TOO_MANY, "too many viewers")
            return
        viewers += 1
        try:
            await _show(socket, view, feed)
        finally:
            viewers -= 1


async def _show(socket: WebSocket, view: View, feed: PictureFeed) -> None:
    """Pictures and figures side by side; where one ends both do, for pictures beside an old state would lie."""
    both = [asyncio.create_task(_send_pictures(socket, feed)), asyncio.create_task(_send_figures(socket, view))]
    for task in both:
        task.add_done_callback(_note_defect)
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in both:  # not waited for: wait_for may swallow it, and then ends at the closed socket
            task.cancel()
    with contextlib.suppress(RuntimeError):  # it has closed already
        await socket.close(TOO_MANY, "trying again")


def _note_defect(task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, _GONE):
        logger.error("the page lost a viewer by a defect: %r", error)


async def _send_pictures(socket: WebSocket, feed: PictureFeed) -> None:
    """One picture at a time: the next one is sent when the browser has drawn the last."""
    index, heard_ns = -1, time.monotonic_ns()
    while True:
        found = await feed.after(index, timeout_s=1.0)
        if found is None:
            continue
        presented, jpeg = found
        index = presented.frame.index
        await socket.send_bytes(header_of(presented, heard_ns, time.monotonic_ns()) + jpeg)
        await asyncio.wait_for(socket.receive_text(), ACK_S)
        heard_ns = time.monotonic_ns()


async def _send_figures(socket: WebSocket, view: View) -> None:
    while True:
        await socket.send_text(json.dumps(view.status().to_dict()))
        await asyncio.sleep(STATUS_S)


def _json(value: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(value), status, media_type="application/json")
