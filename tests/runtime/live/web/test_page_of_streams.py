"""The page of two streams in a real browser: side by side, and one alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runtime.live.web.running import RunningStream, write_engine

httpx = pytest.importorskip("httpx")
playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
for package in ("fastapi", "uvicorn", "websockets", "prometheus_client"):
    pytest.importorskip(package)
expect = playwright.expect
from tests.runtime.live.web.visiting import Visit  # noqa: E402 - needs both


@pytest.mark.long
def test_several_streams_are_seen_together_and_alone(visit: Callable[..., Visit], tmp_path: Path) -> None:
    sources = ("left=synthetic:320x240@10?seed=1", "right=synthetic:160x120@10?seed=2")
    stream = RunningStream(write_engine(tmp_path), "--record", str(tmp_path / "raw.mp4"), "--json", sources=sources)
    try:
        opened = visit(stream.url)
        page = opened.page
        for name in ("left", "right"):
            tile = page.locator(f'.tile[data-stream="{name}"]')
            expect(tile.locator(".state")).to_have_text(re.compile("live|degraded"))
            expect(tile.locator("canvas")).to_have_attribute("data-frame", re.compile(r"\d+"))
            expect(tile.locator(".lost")).to_be_hidden()
        expect(page.locator("#one")).to_be_hidden()
        page.locator('.tile[data-stream="right"]').click()
        expect(page.locator("#one")).to_be_visible()
        expect(page.locator("#overview")).to_be_hidden()
        opened.moves_on()
        expect(page.locator("#figures dd").first).to_have_text("160 × 120")
        page.locator("#streams").get_by_role("button", name="left").click()
        expect(page.locator("#figures dd").first).to_have_text("320 × 240")
        assert page.url.endswith("#left")
        page.get_by_role("button", name="No overlay").click()
        expect(page.locator("[data-mode=off]")).to_have_attribute("aria-pressed", "true")
        states = [httpx.get(f"{stream.url}api/state?stream={name}", timeout=20).json() for name in ("left", "right")]
        assert [state["overlay"] for state in states] == ["off", "contour"]
        page.locator("#streams").get_by_role("button", name="All").click()
        expect(page.locator('.tile[data-stream="left"] canvas')).to_have_attribute("data-frame", re.compile(r"\d+"))
        assert opened.complaints == []
    finally:
        assert stream.end() == 143, stream.lines
    statuses = json.loads(stream.output)["streams"]
    assert list(statuses) == ["left", "right"] and all(status["frames"] > 0 for status in statuses.values())
    for name in ("left", "right"):
        assert (tmp_path / f"raw-{name}.mp4").stat().st_size > 1000
