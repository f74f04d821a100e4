"""A view that is what a test says it is, behind a real server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from edgeseg.runtime.live.live_values import Presented
from edgeseg.runtime.live.status import LiveStatus
from edgeseg.runtime.video.overlay import OverlayMode
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import SourceFrame

STATUS = LiveStatus(
    state="live",
    reason="",
    since_s=1.0,
    uptime_s=2.0,
    backend="onnxruntime",
    precision="int8",
    engine="ab" * 32,
    source="scripted",
    width=64,
    height=48,
    fps=25.0,
    frames=100,
    inferences=90,
    drops=10,
    skipped=0,
    lost=1,
    gated=2,
    deadline_misses=3,
    restarts=4,
    picture_age_ms={"p50": 2.0, "p99": 5.0},
    mask_age_ms={"p50": 40.0, "p99": None},
    mask_limit_ms=120.0,
    infer_ms={"p50": 30.0, "p99": 33.0},
    compose_ms={"p50": 1.0, "p99": 2.0},
    area_fraction=0.1,
    confidence=0.9,
    overlay="contour",
    sync_ms=None,
    sinks=({"name": "record", "written": 7, "dropped": 1, "state": "ok"},),
)


def presented(index: int, height: int = 48, width: int = 64) -> Presented:
    """A grey picture whose brightness is its number."""
    now_ns = time.monotonic_ns()
    picture = Picture.of_bgr(np.full((height, width, 3), index % 256, np.uint8))
    frame = SourceFrame(index, now_ns, now_ns, index, Fraction(1, 25), picture)
    return Presented(frame, now_ns + 2_000_000, picture, None, "live", "")


@dataclass
class ScriptedView:
    """A stream that stands still."""

    current: LiveStatus = STATUS
    newest: Presented | None = None
    noted: list[dict[str, Any]] = field(default_factory=list)

    def status(self) -> LiveStatus:
        return self.current

    def set_overlay(self, mode: OverlayMode) -> None:
        self.current = replace(self.current, overlay=mode)

    def passport(self) -> dict[str, Any]:
        return {"precision": "int8"}

    def events(self) -> list[dict[str, Any]]:
        return self.noted


@pytest.fixture
def view() -> ScriptedView:
    return ScriptedView()


@pytest.fixture
def serve(view: ScriptedView) -> Iterator[Callable[..., Any]]:
    """Starts servers of `view` on free ports of loopback."""
    for package in ("fastapi", "uvicorn", "websockets", "prometheus_client"):
        pytest.importorskip(package)
    from edgeseg.runtime.live.web.access import Address
    from edgeseg.runtime.live.web.server import PageServer

    servers: list[PageServer] = []

    def start(host: str = "127.0.0.1", **options: Any) -> PageServer:
        servers.append(PageServer(Address(host, 0), **options))
        servers[-1].start({"": view})
        return servers[-1]

    yield start
    for server in servers:
        server.close()
        server.close()


@pytest.fixture(scope="module")
def browser(system_program: Callable[..., str]) -> Iterator[Any]:
    """A browser for the tests of a file; they have made sure that Playwright is there."""
    from playwright.sync_api import expect, sync_playwright

    from tests.runtime.live.web.visiting import LAUNCH, PATIENCE_MS

    path = system_program("chromium")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=LAUNCH)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens pages, each in a context of its own."""
    from tests.runtime.live.web.visiting import Visit

    visits: list[Visit] = []

    def start(url: str, **options: Any) -> Visit:
        visits.append(Visit(browser, **options))
        return visits[-1].open(url)

    yield start
    for opened in visits:
        opened.context.close()
