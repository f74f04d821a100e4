"""A network between browser and page whose way back takes as long as a test says."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from types import TracebackType


class SlowWay:
    """Listens on loopback and passes bytes on, those to the browser later.

    Args:
        port: Of the page.
    """

    def __init__(self, port: int) -> None:
        self.delay_s = 0.0
        """May be set at any time; what is under way keeps its own."""
        self._port = port
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """The address of the page, by this way."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/"

    def __enter__(self) -> SlowWay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for end in (self._listener, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                browser, _ = self._listener.accept()
                page = socket.create_connection(("127.0.0.1", self._port))
                self._ends += [browser, page]
                under_way: queue.Queue[tuple[float, bytes]] = queue.Queue()
                threading.Thread(target=self._hold, args=(page, under_way), daemon=True).start()
                threading.Thread(target=self._give, args=(under_way, browser), daemon=True).start()
                threading.Thread(target=self._pass, args=(browser, page), daemon=True).start()

    def _hold(self, page: socket.socket, under_way: queue.Queue[tuple[float, bytes]]) -> None:
        data = b"-"
        while data:
            try:
                data = page.recv(65536)
            except OSError:
                data = b""
            under_way.put((time.monotonic() + self.delay_s, data))

    def _give(self, under_way: queue.Queue[tuple[float, bytes]], browser: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                due_s, data = under_way.get()
                time.sleep(max(0.0, due_s - time.monotonic()))
                if not data:
                    browser.shutdown(socket.SHUT_WR)
                    return
                browser.sendall(data)

    def _pass(self, browser: socket.socket, page: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := browser.recv(65536):
                page.sendall(data)
            page.shutdown(socket.SHUT_WR)
