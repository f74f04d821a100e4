"""The page's routes."""

# No `from __future__ import annotations`: FastAPI reads the annotations of nested functions.
import asyncio
import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any, get_args

from fastapi import FastAPI, Request, Response

from edgeseg.errors import EdgesegError
from edgeseg.runtime.live.live_values import State
from edgeseg.runtime.live.web.access import (
    COOKIE,
    SECURITY_HEADERS,
    TOKEN_VARIABLE,
    PageOptions,
    RateLimit,
    is_own_host,
    is_own_origin,
    is_token,
    shown_token,
)
from edgeseg.runtime.live.web.live_socket import add_live_socket
from edgeseg.runtime.live.web.newest_picture import PictureFeed, encode_png
from edgeseg.runtime.live.web.prometheus_metrics import exposition
from edgeseg.runtime.live.web.stream_view import RollOutControl, View, stream_named
from edgeseg.runtime.video.overlay import OverlayMode
from edgeseg.strict_text import parse_json

STATIC = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/screen.js": ("screen.js", "text/javascript; charset=utf-8"),
    "/overview.js": ("overview.js", "text/javascript; charset=utf-8"),
    "/roll_out.js": ("roll_out.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
OPEN_PATHS = ("/healthz", "/readyz")
"""Paths for probes that hold no token; they tell a state and no picture."""
MAX_BODY_BYTES = 1024


def make_app(
    views: Mapping[str, View],
    feeds: Mapping[str, PictureFeed],
    options: PageOptions,
    roll_out: RollOutControl | None = None,
) -> FastAPI:
    """The page of a box. What is asked without ``?stream=NAME`` is answered for the first stream.

    Args:
        views: The streams by name.
        feeds: Their pictures.
        options: Who may look.
        roll_out: The way of a new engine onto the screen.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    limit = RateLimit()
    _add_guard(app, options, limit, views)
    _add_static(app)
    _add_figures(app, views)
    _add_probes(app, views)
    _add_actions(app, views)
    if roll_out is not None:
        _add_roll_out(app, roll_out, options)
    add_live_socket(app, views, feeds, options, limit)
    return app


def _add_guard(app: FastAPI, options: PageOptions, limit: RateLimit, views: Mapping[str, View]) -> None:
    @app.middleware("http")
    async def guard(request: Request, call_next: Any) -> Response:
        response = _refusal(request, options, limit)
        if response is None and stream_named(request, views) not in views:
            response = _json({"error": "no such stream", "expected": list(views)}, 404)
        response = response or await call_next(request)
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
    if request.url.path in OPEN_PATHS or is_token(shown_token(request), options.token):
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


def _add_static(app: FastAPI) -> None:
    folder = files("edgeseg.runtime.live.web").joinpath("static")
    for path, (name, media_type) in STATIC.items():
        content = folder.joinpath(name).read_bytes()
        app.add_api_route(path, _constant(content, media_type), methods=["GET"])


def _constant(content: bytes, media_type: str) -> Any:
    async def answer() -> Response:
        return Response(content, media_type=media_type)

    return answer


def _add_figures(app: FastAPI, views: Mapping[str, View]) -> None:
    @app.get("/api/streams")
    async def streams() -> Response:
        states = {name: view.status() for name, view in views.items()}
        rows = [{"name": name, "source": now.source, "state": now.state} for name, now in states.items()]
        return _json({"streams": rows})

    @app.get("/api/state")
    async def state(request: Request) -> Response:
        return _json(views[stream_named(request, views)].status().to_dict())

    @app.get("/api/passport")
    async def passport(request: Request) -> Response:
        return _json(views[stream_named(request, views)].passport())

    @app.get("/api/events")
    async def events(request: Request) -> Response:
        return _json({"events": list(views[stream_named(request, views)].events())})

    @app.get("/metrics")
    async def metrics() -> Response:
        text, media_type = exposition(lambda: {name: view.status() for name, view in views.items()})
        return Response(text, media_type=media_type)


def _add_probes(app: FastAPI, views: Mapping[str, View]) -> None:
    def probed(request: Request, is_well: Callable[[list[State]], bool]) -> Response:
        names = [stream_named(request, views)] if "stream" in request.query_params else list(views)
        states = {name: views[name].status().state for name in names}
        text = "".join(f"{name}: {state}\n" if name else f"{state}\n" for name, state in states.items())
        return Response(text, 200 if is_well(list(states.values())) else 503, media_type="text/plain")

    @app.get("/healthz")
    async def healthz(request: Request) -> Response:
        return probed(request, lambda states: any(state != "stopped" for state in states))

    @app.get("/readyz")
    async def readyz(request: Request) -> Response:
        return probed(request, lambda states: all(state in ("live", "degraded") for state in states))


def _add_actions(app: FastAPI, views: Mapping[str, View]) -> None:
    @app.post("/api/overlay")
    async def overlay(request: Request) -> Response:
        mode = await _asked(request, "mode")
        if isinstance(mode, Response):
            return mode
        if mode not in get_args(OverlayMode):
            return _json({"error": "no such overlay", "expected": get_args(OverlayMode)}, 422)
        views[stream_named(request, views)].set_overlay(mode)
        return _json({"overlay": mode})

    @app.get("/api/snapshot")
    async def snapshot(request: Request, raw: bool = False) -> Response:
        stream = stream_named(request, views)
        newest = views[stream].newest
        if newest is None:
            return _json({"error": "there is no picture yet"}, 503)
        picture = newest.frame.picture if raw else newest.overlay
        png = await asyncio.to_thread(encode_png, picture)
        parts = ["frame", stream, f"{newest.frame.index:06d}", "raw" if raw else ""]
        name = f"{'-'.join(part for part in parts if part)}.png"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(png, media_type="image/png", headers=headers)


def _add_roll_out(app: FastAPI, roll_out: RollOutControl, options: PageOptions) -> None:
    @app.post("/api/roll-out")
    async def change(request: Request) -> Response:
        if options.token is None:  # on loopback anyone on this machine may look, but not change what is marked
            words = f"changing the engine needs a token: start with {TOKEN_VARIABLE} or --token-file"
            return _json({"error": words}, 403)
        action = await _asked(request, "action")
        if isinstance(action, Response):
            return action
        if action not in ("switch", "back"):
            return _json({"error": "no such action", "expected": ["switch", "back"]}, 422)
        try:
            roll_out.ask(action)
        except EdgesegError as error:
            return _json(error.to_dict(), 409)
        return _json(roll_out.report())


async def _asked(request: Request, key: str) -> Any:
    """Read what a JSON body asks for, None where it asks for nothing; an answer where it is no JSON at all."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return _json({"error": "expected application/json"}, 415)
    try:
        return parse_json((await _short_body(request)).decode()).get(key)
    except (ValueError, AttributeError):
        return None


async def _short_body(request: Request) -> bytes:
    """The beginning of a body; what goes on without end is not read."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            break
    return body[:MAX_BODY_BYTES]


def _json(value: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(value), status, media_type="application/json")
