"""Sends a browser that has the page open one picture when it has drawn the last, and figures beside them."""

# No `from __future__ import annotations`: FastAPI reads the annotations of nested functions.
import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Mapping

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from edgeseg.runtime.live.web.access import PageOptions, RateLimit, is_own_host, is_own_origin, is_token, shown_token
from edgeseg.runtime.live.web.newest_picture import PictureFeed, header_of
from edgeseg.runtime.live.web.stream_view import View, stream_named

STATUS_S = 0.25
ACK_S = 10.0
"""A browser that does not answer for so long is gone."""
TOO_MANY, NOT_ALLOWED, NO_SUCH_STREAM = 1013, 4401, 4404
"""WebSocket close codes: try again later; no token; no stream of that name."""
_GONE = (WebSocketDisconnect, asyncio.TimeoutError, RuntimeError)
"""How a viewer who leaves, or whose network does, ends what is sent to him."""
logger = logging.getLogger(__name__)


def add_live_socket(
    app: FastAPI,
    views: Mapping[str, View],
    feeds: Mapping[str, PictureFeed],
    options: PageOptions,
    limit: RateLimit,
) -> None:
    """Add the address that browsers get pictures and figures from.

    Args:
        app: The page.
        views: The streams by name.
        feeds: Their pictures.
        options: Who may look.
        limit: How often.
    """
    viewers = dict.fromkeys(views, 0)

    @app.websocket("/api/live")
    async def live(socket: WebSocket) -> None:
        host = socket.headers.get("host", "")
        await socket.accept()
        if not limit.allows(socket.client.host if socket.client else ""):
            await socket.close(TOO_MANY, "too many requests")
            return
        own = is_own_host(host, options.address) and is_own_origin(socket.headers.get("origin"), host)
        if not own or not is_token(shown_token(socket), options.token):
            await socket.close(NOT_ALLOWED, "a token is needed")
            return
        name = stream_named(socket, views)
        if name not in views:
            await socket.close(NO_SUCH_STREAM, "no such stream")
            return
        if viewers[name] >= options.max_viewers:
            await socket.close(TOO_MANY, "too many viewers")
            return
        viewers[name] += 1
        try:
            await _show(socket, views[name], feeds[name])
        finally:
            viewers[name] -= 1


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
    with contextlib.suppress(*_GONE):  # it has closed already
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
