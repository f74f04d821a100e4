from __future__ import annotations

import re
from typing import Any

import cv2
import httpx
import numpy as np
from playwright.sync_api import expect

PATIENCE_MS = 60_000
SKY_BLUE_RGB = np.array([86, 180, 233])

LAUNCH = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-sync",
]


class Visit:
    """A page and what the browser complained of."""

    def __init__(self, browser: Any, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._note)

    def open(self, url: str) -> Visit:
        self.page.goto(url, wait_until="domcontentloaded", timeout=PATIENCE_MS)  # never idle: the stream does not end
        return self

    def shown_frame(self) -> int:
        """The number of the frame that is on the canvas."""
        canvas = self.page.locator("#picture")
        expect(canvas).to_have_attribute("data-frame", re.compile(r"\d+"))
        return int(canvas.get_attribute("data-frame"))

    def figure(self, name: str) -> int:
        return int(
            self.page.locator("#figures dt", has_text=name).locator("xpath=following-sibling::dd[1]").inner_text()
        )

    def moves_on(self) -> None:
        """Until newer frames are drawn and counted than now."""
        frame, shown = self.shown_frame(), self.figure("Frames shown")
        expect(self.page.locator("#picture")).not_to_have_attribute("data-frame", str(frame))
        row = self.page.locator("#figures dt", has_text="Frames shown").locator("xpath=following-sibling::dd[1]")
        expect(row).not_to_have_text(str(shown))
        assert self.shown_frame() > frame and self.figure("Frames shown") > shown

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


def picture_of(page: Any) -> Any:
    """Give what the browser shows where the picture is, BGR."""
    return cv2.imdecode(np.frombuffer(page.locator("#picture").screenshot(), np.uint8), cv2.IMREAD_COLOR)


def marked_pixels(url: str) -> int:
    """Pixels in the colour of the marks."""
    png = httpx.get(url + "api/snapshot", timeout=20).content
    rgb = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1].astype(int)
    return int((np.abs(rgb - SKY_BLUE_RGB).max(axis=2) < 40).sum())
