"""The page's server: a thread with a loop of its own, so that nothing here slows the picture."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from edgeseg.errors import EdgesegError, UsageError
from edgeseg.optional import require
from edgeseg.runtime.live.live_values import Presented
from edgeseg.runtime.live.web.access import Address, PageOptions, Tls
from edgeseg.runtime.live.web.stream_view import RollOutControl, View

_START_S = 10.0
_END_S = 3.0


class PageServer:
    """Serves the page of a box; it keeps the newest picture of each stream.

    The address is taken by the constructor, so that a busy port is known before the first frame.

    Args:
        address: The address to listen on.
        token: What clients must show; None on loopback.
        tls: Certificate and key for https.
        max_viewers: Browsers at once that each stream is shown in.

    Raises:
        UsageError: The address cannot be had.
        MissingComponentError: The packages of the extra ``web`` are not there.
    """

    name = "page"

    def __init__(
        self, address: Address, token: str | None = None, tls: Tls | None = None, max_viewers: int = 8
    ) -> None:
        for package in ("fastapi", "uvicorn", "websockets", "prometheus_client"):
            require(package)
        self._socket = _listen(address)
        self.address = Address(address.host, self._socket.getsockname()[1])
        self._token, self._tls, self._max_viewers = token, tls, max_viewers
        self._feeds: dict[str, Any] = {}
        self._server: Any = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._closing = False
        self._up = threading.Event()

    @property
    def url(self) -> str:
        """The address to open, without the token."""
        return f"{'https' if self._tls else 'http'}://{self.address.url_host}:{self.address.port}/"

    @property
    def failure(self) -> BaseException | None:
        """The exception that ended the server, which should end with `close` alone; None while it serves."""
        return self._failure

    def start(self, views: Mapping[str, View], roll_out: RollOutControl | None = None) -> None:
        """Serve streams.

        Args:
            views: The streams by name; a single one may be nameless.
            roll_out: The way of a new engine onto the screen; None where there is none.

        Raises:
            EdgesegError: The server does not come up.
        """
        self._thread = threading.Thread(target=self._serve, args=(views, roll_out), name="edgeseg-page", daemon=True)
        self._thread.start()
        if not self._up.wait(_START_S) or self._failure is not None:
            raise EdgesegError("the page's server did not start", found=self._failure or "no answer")

    def offer(self, presented: Presented, stream: str = "") -> None:
        """Show a picture of a stream to whoever looks."""
        feed = self._feeds.get(stream)
        if feed is not None:
            feed.offer(presented)

    def close(self) -> None:
        """End the server; twice is fine."""
        self._closing = True
        self._feeds = {}
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(_END_S)
        self._socket.close()

    def __enter__(self) -> PageServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _serve(self, views: Mapping[str, View], roll_out: RollOutControl | None) -> None:
        try:
            asyncio.run(self._run(views, roll_out))
            if not self._closing:
                raise RuntimeError("the server ended by itself")
        except BaseException as error:
            self._failure = error
        self._up.set()

    async def _run(self, views: Mapping[str, View], roll_out: RollOutControl | None) -> None:
        from edgeseg.runtime.live.web.app import make_app
        from edgeseg.runtime.live.web.newest_picture import PictureFeed

        uvicorn = require("uvicorn")
        self._feeds = {name: PictureFeed(asyncio.get_running_loop()) for name in views}
        app = make_app(views, self._feeds, PageOptions(self.address, self._token, self._max_viewers), roll_out)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            ws_max_size=4096,
            ws_max_queue=4,
            limit_concurrency=64 + self._max_viewers * (len(views) - 1),
            timeout_graceful_shutdown=1,
            ssl_certfile=self._tls.certificate if self._tls else None,
            ssl_keyfile=self._tls.key if self._tls else None,
        )
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None
        serving = asyncio.create_task(self._server.serve([self._socket]))
        while not self._server.started and not serving.done():
            await asyncio.sleep(0.01)
        self._up.set()
        await serving


def _listen(address: Address) -> socket.socket:
    try:
        family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
    except OSError as error:
        raise UsageError(
            f"the page cannot listen on {address.url_host}:{address.port}",
            found=error.strerror or error,
            expected="a free port of this machine",
            next_command="--web 127.0.0.1:0 takes a free one",
        ) from error
    return listener
