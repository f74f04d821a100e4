"""Take live-page.png: the page of a running stream of synthetic video, by Playwright and the system's Chromium.

python docs/pictures/make_live_page.py [ENGINE] [SOURCE], after `make demo`, whose engine knows synthetic polyps.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

ENGINE, SOURCE = "demo/onnxruntime.int8.engine", "synthetic:640x480@8?seed=2"
SIZE = {"width": 1280, "height": 860}
PATIENCE_MS = 120_000


def main(engine: str = ENGINE, source: str = SOURCE) -> None:
    """Start the stream, wait until something is marked in time for a while, and take the picture."""
    words = [sys.executable, "-m", "edgeseg.cli", "run", engine, source, "--threads", "1", "--web", "127.0.0.1:0"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as stream:
        try:
            assert stream.stderr is not None
            url = next(line.split()[1] for line in stream.stderr if line.startswith("page: "))
            take(url, Path(__file__).with_name("live-page.png"))
        finally:
            stream.terminate()


def take(url: str, out: Path) -> None:
    """A picture of the page, with half a minute in its chart."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.goto(url, wait_until="domcontentloaded")
        page.wait_for_timeout(30_000)
        good = False
        while not good:  # on a busy machine the picture itself takes seconds
            expect(page.locator("#sightings li").first).to_have_class("appeared", timeout=PATIENCE_MS)
            expect(page.locator("#state")).to_have_text("live", timeout=PATIENCE_MS)
            page.screenshot(path=out)
            good = not page.locator("#lost").is_visible() and page.locator("#state").inner_text() == "live"
        browser.close()
    print(out, out.stat().st_size)


if __name__ == "__main__":
    main(*sys.argv[1:])
