"""The page of a verdict on clips: whole, and it draws in a browser."""

from __future__ import annotations

import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from edgeseg.artifacts import ClipVerdict
from edgeseg.images import read_rgb
from edgeseg.proof.clips.clip_file import read_clips
from edgeseg.proof.clips.clip_page import clip_section, render_clip_page, write_clip_report
from edgeseg.proof.clips.clip_verdict import ClipMaterial, ProvenClips, prove_clips
from tests.proof.clips.conftest import OTHER_FRAMES, SHOWN, DroppingEngine
from tests.proof.verdict.answers import network, right
from tests.proof.verdict.test_page_in_a_browser import CHROMIUM
from tests.proof.verdict.test_report import Page

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def proven(clip_folder: Path) -> ProvenClips:
    material = ClipMaterial(read_clips(clip_folder / "clips.toml"))
    return prove_clips(DroppingEngine(network(right), 5), network(right, "b"), material)


def test_the_page_nests_and_shows_lesions_activations_and_disputed_frames(proven: ProvenClips) -> None:
    page = render_clip_page(clip_section(proven.verdict, proven.clips))
    parsed = Page(page)
    for words in (
        "failed",
        "Lesions found",
        "not measured by a file",
        "That last for at least",
        "marks on lesions flicker",
    ):
        assert words in parsed.words
    assert f"in view, frames {SHOWN[0]} to {SHOWN[1]}" in parsed.words
    assert f"false mark, frames {OTHER_FRAMES[0]} to" in parsed.words
    assert "script" not in parsed.tags and not re.search(r"https?://(?!www\.w3\.org)", page)
    assert sum("polyp.mp4, frame" in heading for heading in parsed.headings) >= 2
    assert parsed.tags.count("img") == 3 * sum(", frame " in heading for heading in parsed.headings)


def test_disputed_frames_are_the_worst_of_their_second(proven: ProvenClips) -> None:
    disputed = clip_section(proven.verdict, proven.clips).disputed
    shares = [frame.differing_share for frame in disputed]
    assert shares == sorted(shares, reverse=True) and min(shares) > 0
    for name in ("polyp.mp4", "normal.mp4"):
        indices = sorted(frame.index for frame in disputed if frame.clip == name)
        assert all(later - former >= 25 for former, later in pairwise(indices))
    # Every fifth frame is dropped, counted over both clips.
    assert all(frame.index % 5 == 4 and frame.dice == 0 for frame in disputed)


def test_names_from_outside_are_escaped(proven: ProvenClips) -> None:
    lesions = tuple(row.model_copy(update={"lesion": HOSTILE}) for row in proven.verdict.lesions)
    clips = tuple(row.model_copy(update={"name": HOSTILE}) for row in proven.verdict.clips)
    verdict = proven.verdict.model_copy(update={"lesions": lesions, "clips": clips})
    assert HOSTILE not in render_clip_page(clip_section(verdict, proven.clips))


@pytest.mark.slow
def test_the_page_draws_on_desk_and_phone(proven: ProvenClips, tmp_path: Path, system_program) -> None:
    program = system_program("chromium")
    write_clip_report(tmp_path, clip_section(proven.verdict, proven.clips), "verdict.html", "verdict.json")
    assert ClipVerdict.read(tmp_path / "verdict.json") == proven.verdict
    for width in (1200, 390):
        picture = tmp_path / f"{width}.png"
        flags = (f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}", f"--window-size={width},1600")
        page = (tmp_path / "verdict.html").as_uri()
        subprocess.run([program, *CHROMIUM, *flags, page], check=True, capture_output=True, timeout=60)
        image = read_rgb(picture)
        assert image.shape[:2] == (1600, width)
        assert image.std() > 10
