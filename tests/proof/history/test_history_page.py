import re
import subprocess
from pathlib import Path

import pytest

from edgeseg.cli import run
from edgeseg.images import read_rgb
from edgeseg.proof.history.history_page import render_history
from edgeseg.proof.history.verdict_history import read_history
from tests.cli.test_verify_clips import clips as clips
from tests.proof.history.test_verdict_history import paths as paths
from tests.proof.history.test_verdict_history import write
from tests.proof.verdict.test_page_in_a_browser import CHROMIUM
from tests.proof.verdict.test_report import HOSTILE, Page
from tests.proof.verdicts import verdict


def test_the_page_nests_and_says_what_matters(paths: list[Path]) -> None:
    words = " ".join(Page(render_history(read_history(paths))).words.split())
    for expected in (
        "✓ passed",
        "1. ",
        "0.8550",
        "+0.0100",
        "+0.0040 to +0.0160",
        "0 of 12",
        "8.0, 12.5",
        "not kept",
        "it is late",
        "set by the clinic",
        "a" * 64,
        "other images, another machine, another protocol than the version before",
        "Research use only; not a medical device",
    ):
        assert expected in words


def test_the_page_asks_nobody_runs_nothing_and_escapes_names(paths: list[Path], tmp_path: Path) -> None:
    hostile = tmp_path / HOSTILE.replace("/", "")
    hostile.mkdir()
    (hostile / "verdict.json").write_bytes(paths[0].read_bytes())
    text = render_history(read_history([*paths, hostile / "verdict.json"]))
    page = Page(text)
    assert not re.search(r"https?://|//[a-z]|@import|url\(", text)
    assert not {"script", "link", "iframe", "img"} & set(page.tags)
    assert HOSTILE.replace("/", "") in page.words


def test_verdicts_on_clips_stand_beside_those_on_images(
    clips: Path, tiny_engine: Path, tiny_onnx: Path, tmp_path: Path, capsys
) -> None:
    words = ["verify", str(tiny_engine), "--reference", str(tiny_onnx), "--clips", str(clips)]
    assert run([*words, "--report", str(tmp_path / "of-clips")]) == 0
    of_images = write(tmp_path, "of-images", verdict())
    out = tmp_path / "page" / "history.html"
    files = [str(tmp_path / "of-clips" / "verdict.json"), str(of_images)]
    assert run(["history", *files, "--out", str(out)]) == 0
    said = " ".join(Page(out.read_text()).words.split())
    assert "Lesions found" in said and "1 of 1" in said and "0.8900" in said
    assert run(["history", files[0], "--out", str(out)]) == 0
    assert "Mean Dice" not in out.read_text()


def test_the_command_refuses_before_it_writes(paths: list[Path], tmp_path: Path, capsys) -> None:
    before = paths[0].read_bytes()
    assert run(["history", *map(str, paths), "--out", str(paths[0])]) == 2
    assert run(["history", *map(str, paths), "--out", str(tmp_path)]) == 5
    assert run(["history", str(tmp_path), "--out", str(tmp_path / "page.html")]) == 5
    assert run(["history"]) == 2
    assert paths[0].read_bytes() == before and not (tmp_path / "page.html").exists()


@pytest.mark.long
def test_the_page_draws_on_desk_and_phone(paths: list[Path], tmp_path: Path, system_program) -> None:
    program = system_program("chromium")
    page = tmp_path / "history.html"
    page.write_text(render_history(read_history(paths)), encoding="utf-8")
    for width in (1200, 390):
        picture = tmp_path / f"{width}.png"
        flags = (f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}", f"--window-size={width},1600")
        words = [program, *CHROMIUM, *flags, page.as_uri()]
        subprocess.run(words, check=True, capture_output=True, timeout=60)
        image = read_rgb(picture)
        assert image.shape[:2] == (1600, width) and image.std() > 10
