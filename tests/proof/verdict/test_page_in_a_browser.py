"""The verdict page in a real browser: it draws, and asks for nothing."""

import subprocess
from pathlib import Path

import pytest

from edgeseg.images import read_rgb
from edgeseg.proof.verdict.verdict_page import write_report

CHROMIUM = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


@pytest.mark.slow
def test_the_page_draws_on_desk_and_phone(
    make_pairs, threshold_session, verdict_of, tmp_path: Path, system_program
) -> None:
    program = system_program("chromium")
    pairs = make_pairs(12, dim_rows=list(range(12)))
    engine, reference = threshold_session(150), threshold_session(75)
    verdict = verdict_of(pairs, engine, reference)
    write_report(tmp_path / "report", verdict, engine, reference, pairs)
    page = (tmp_path / "report" / "verdict.html").as_uri()
    for width in (1200, 390):
        picture = tmp_path / f"{width}.png"
        flags = (f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}", f"--window-size={width},1600")
        subprocess.run([program, *CHROMIUM, *flags, page], check=True, capture_output=True, timeout=60)
        image = read_rgb(picture)
        assert image.shape[:2] == (1600, width)
        assert image.std() > 10
    dom = subprocess.run(
        [program, *CHROMIUM, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    assert "FAILED" in dom.upper()
    assert "http://" not in dom.replace("http://www.w3.org", "")
    assert "https://" not in dom
