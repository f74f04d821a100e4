"""The page in a real browser, on a running stream. Locators only: the page's own policy forbids eval."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.runtime.live.web.conftest import presented
from tests.runtime.live.web.running import RunningStream, write_engine
from tests.runtime.live.web.slow_way import SlowWay

httpx = pytest.importorskip("httpx")
playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
for package in ("fastapi", "uvicorn", "websockets", "prometheus_client"):
    pytest.importorskip(package)
expect = playwright.expect
from tests.runtime.live.web.visiting import PATIENCE_MS, Visit, marked_pixels, picture_of  # noqa: E402 - needs both

TOKEN = "0123456789abcdef0123"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="module")
def stream(engine: Path) -> Iterator[RunningStream]:
    """A stream for tests that do it no harm."""
    running = RunningStream(engine)
    yield running
    assert running.end() == 143, running.lines


def test_the_picture_changes_and_the_counters_move(stream: RunningStream, visit: Callable[..., Visit]) -> None:
    opened = visit(stream.url)
    expect(opened.page.locator("#state")).to_have_text(re.compile("live|degraded"))
    expect(opened.page.locator("#lost")).to_be_hidden()
    expect(opened.page.locator("#late")).to_be_hidden()
    before = picture_of(opened.page)
    assert before.std() > 5, "a picture, no plain surface"
    opened.moves_on()
    assert np.abs(picture_of(opened.page).astype(int) - before).mean() > 0.1
    assert opened.figure("Frames segmented") > 0
    assert re.fullmatch(r"\d+ ms / \d+ ms", opened.page.locator("#picture-age").inner_text())
    assert opened.complaints == []


def test_the_overlay_is_switched_by_buttons_and_by_keys(stream: RunningStream, visit: Callable[..., Visit]) -> None:
    opened = visit(stream.url)
    page = opened.page
    opened.shown_frame()
    for act, mode in (
        (lambda: page.get_by_role("button", name="No overlay").click(), "off"),
        (lambda: page.keyboard.press("2"), "fill"),
        (lambda: page.get_by_role("button", name="Heat map").click(), "heat"),
        (lambda: page.keyboard.press("4"), "off"),
        (lambda: page.keyboard.press("1"), "contour"),
    ):
        act()
        expect(page.locator(f"#overlay [data-mode={mode}]")).to_have_attribute("aria-pressed", "true")
        expect(page.locator('#overlay [aria-pressed="true"]')).to_have_count(1)
        opened.moves_on()
        if mode != "heat":
            assert (marked_pixels(stream.url) > 20) == (mode != "off"), mode
    assert opened.complaints == []


def test_what_is_marked_is_told_with_its_time(stream: RunningStream, visit: Callable[..., Visit]) -> None:
    opened = visit(stream.url)
    first = opened.page.locator("#sightings li").last
    expect(first).to_contain_text("polyp in view")
    expect(first.locator("time")).to_have_attribute("datetime", re.compile(r"\d{4}-\d\d-\d\dT.*Z"))
    events = httpx.get(stream.url + "api/events", timeout=20).json()["events"]
    assert {"appeared", "state"} <= {event["event"] for event in events}
    opened.page.get_by_text("Changes of state").click()
    expect(opened.page.locator("#changes li").last).to_contain_text("live")
    assert opened.complaints == []


def test_a_key_saves_the_picture(stream: RunningStream, visit: Callable[..., Visit], tmp_path: Path) -> None:
    page = visit(stream.url).page
    expect(page.locator("#lost")).to_be_hidden()
    with page.expect_download(timeout=PATIENCE_MS) as saving:
        page.keyboard.press("s")
    assert re.fullmatch(r"frame-\d{6}\.png", saving.value.suggested_filename)
    saving.value.save_as(tmp_path / "picture.png")
    assert cv2.imread(str(tmp_path / "picture.png")).shape == (240, 320, 3)


@pytest.mark.parametrize("width", [390, 320])
def test_a_phone_needs_no_scrolling_to_the_side(width: int, stream: RunningStream, visit: Callable[..., Visit]) -> None:
    screen = {"width": width, "height": 740}
    opened = visit(stream.url, viewport=screen, has_touch=True, is_mobile=True, bypass_csp=True)
    opened.shown_frame()
    expect(opened.page.locator("#figures dt", has_text="Engine restarts")).to_be_visible()
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.page.locator("#picture").bounding_box()["width"] > 0.9 * width
    for control in opened.page.locator("button:visible, a.button").all():
        box = control.bounding_box()
        assert box["height"] >= 44 and box["x"] + box["width"] <= width
    opened.page.get_by_role("button", name="Fill").tap()
    expect(opened.page.locator("[data-mode=fill]")).to_have_attribute("aria-pressed", "true")
    opened.page.get_by_role("button", name="Contour").tap()


def test_everything_is_reached_by_the_keyboard_in_the_order_of_the_page(
    stream: RunningStream, visit: Callable[..., Visit]
) -> None:
    opened = visit(stream.url)
    page = opened.page
    opened.shown_frame()
    names = []
    for _ in range(9):
        page.keyboard.press("Tab")
        if page.locator(":focus").get_attribute("id") == "sightings":  # once the list is long enough to be scrolled
            page.keyboard.press("Tab")
        names.append(page.locator(":focus").inner_text())
        if names[-1] == "Fill":
            page.keyboard.press("Enter")
            expect(page.locator("[data-mode=fill]")).to_have_attribute("aria-pressed", "true")
        if names[-1] == "Contour":
            assert page.locator(":focus").evaluate("one => getComputedStyle(one).outlineStyle") != "none"
    page.keyboard.press("Enter")
    expect(page.locator("#passport")).to_contain_text("onnxruntime")
    overlay = ["Contour", "Fill", "Heat map", "No overlay"]
    saving = ["Save picture", "Save without overlay", "Full screen"]
    assert names == [*overlay, *saving, "Changes of state", "Engine passport"]
    page.keyboard.press("1")


def test_killed_engine_processes_are_told_and_their_return_too(
    stream: RunningStream, visit: Callable[..., Visit]
) -> None:
    opened = visit(stream.url)
    page = opened.page
    expect(page.locator("#state")).to_have_text("live")
    restarts, killed = opened.figure("Engine restarts"), stream.worker_pids
    assert len(killed) == 2
    stream.kill_workers()
    page.wait_for_function(  # both at once: new processes may be up before a second question is asked
        """() => document.querySelector("#state").innerText === "pass-through"
           && document.querySelector("#meaning").innerText.includes("NOTHING IS MARKED")""",
        timeout=60_000,
    )
    opened.moves_on()
    expect(page.locator("#lost")).to_be_hidden()
    expect(page.locator("#state")).to_have_text("live")
    assert not set(killed) & set(stream.worker_pids)
    assert opened.figure("Engine restarts") > restarts
    assert opened.complaints == []


def test_a_picture_that_stands_still_is_covered(stream: RunningStream, visit: Callable[..., Visit]) -> None:
    opened = visit(stream.url)
    page = opened.page
    opened.shown_frame()
    os.kill(stream.process.pid, signal.SIGSTOP)
    try:
        expect(page.locator("#lost")).to_contain_text(re.compile(r"NO PICTURE for [2-9] s"))
        expect(page.locator("#lost")).to_be_visible()
    finally:
        os.kill(stream.process.pid, signal.SIGCONT)
    expect(page.locator("#lost")).to_be_hidden()


def test_who_comes_while_the_source_is_silent_never_sees_its_last_picture_as_live(
    serve: Callable[..., Any], visit: Callable[..., Visit]
) -> None:
    """The page's connection is fine and its first picture comes at once, but it is a minute old."""
    server = serve()
    old = presented(3)
    server.offer(replace(old, presented_ns=old.presented_ns - 60_000_000_000))
    opened = visit(server.url)
    page = opened.page
    assert opened.shown_frame() == 3
    assert page.locator("#lost").is_visible(), "as soon as it is drawn"
    expect(page.locator("#lost")).to_contain_text(re.compile(r"NO PICTURE for (6[0-9]|[7-9][0-9]|1\d\d) s"))
    expect(page.locator("#meaning")).to_have_text("NO PICTURE comes.")
    expect(page.locator("#state")).to_have_text("live")
    with showing_on(server, 4):
        expect(page.locator("#lost")).to_be_hidden()
        expect(page.locator("#meaning")).to_contain_text("The picture is live")
    expect(page.locator("#lost")).to_be_visible()
    assert opened.complaints == []


def test_pictures_that_a_network_holds_up_are_marked_as_late(
    serve: Callable[..., Any], visit: Callable[..., Visit]
) -> None:
    server = serve()
    with showing_on(server, 0), SlowWay(server.address.port) as way:
        opened = visit(way.url)
        page = opened.page
        figure = page.locator("#figures dt", has_text="Way to this page").locator("xpath=following-sibling::dd[1]")
        expect(figure).to_have_text(re.compile(r"\d+ ms"))
        expect(page.locator("#late")).to_be_hidden()
        way.delay_s = 0.8
        expect(page.locator("#late")).to_have_text(re.compile(r"LATE: up to (0\.[89]|[1-9]\.\d) s behind"))
        expect(page.locator("#late")).to_be_visible()
        expect(figure).to_have_text(re.compile(r"([89]\d\d|\d{4}) ms"))
        way.delay_s = 0.0
        expect(page.locator("#late")).to_be_hidden()
        expect(page.locator("#lost")).to_be_hidden()
        assert opened.complaints == []


@contextlib.contextmanager
def showing_on(server: Any, first: int) -> Iterator[None]:
    """A page that is shown 25 pictures a second."""
    stop = threading.Event()

    def show() -> None:
        index = first
        while not stop.wait(0.04):
            server.offer(presented(index))
            index += 1

    shower = threading.Thread(target=show)
    shower.start()
    try:
        yield
    finally:
        stop.set()
        shower.join()


def test_off_loopback_a_token_is_needed_https_serves_pictures_and_the_end_is_told(
    engine: Path, visit: Callable[..., Visit], system_program: Callable[..., str], tmp_path: Path
) -> None:
    openssl = system_program("openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
    subprocess.run([*words.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    flags = ["--tls-certificate", str(certificate), "--tls-key", str(key)]
    stream = RunningStream(engine, *flags, web="0.0.0.0:0", environment={"EDGESEG_TOKEN": TOKEN})
    try:
        assert stream.url.startswith("https://")
        without = visit(stream.url, ignore_https_errors=True)
        expect(without.page.locator("body")).to_contain_text("a token is needed")
        opened = visit(f"{stream.url}?token={TOKEN}", ignore_https_errors=True)
        expect(opened.page).to_have_url(stream.url)
        opened.moves_on()
        (cookie,) = opened.context.cookies()
        assert cookie["httpOnly"] and cookie["secure"] and cookie["sameSite"] == "Strict"
        assert opened.complaints == []
        assert not any("not encrypted" in line for line in stream.lines)
        assert stream.end() == 143
        expect(opened.page.locator("#state")).to_have_text("unreachable")
        expect(opened.page.locator("#lost")).to_be_visible()
    finally:
        stream.end()
