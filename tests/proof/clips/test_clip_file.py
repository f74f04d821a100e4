from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgeseg.artifacts import ClipVerdict
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.images import write_png
from edgeseg.proof.clips.clip_file import read_clips
from edgeseg.proof.clips.live_delays import read_live_delays
from tests.proof.clips.conftest import FRAMES, HEIGHT, WIDTH, disc_centre
from tests.proof.verdict.answers import network, right


def written(folder: Path, text: str) -> Path:
    path = folder / "other.toml"
    path.write_text(text)
    return path


@pytest.fixture
def folder(clip_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(clip_folder, tmp_path / "set")
    return tmp_path / "set"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[clips]]\npath = "polyp.mp4"\nshwon = [[1, 2]]', "did you mean shown?"),
        (
            '[[clips]]\npath = "polyp.mp4"\npolyp = false\n[limits]\nmax_lost_lesion = 1',
            "did you mean max_lost_lesions?",
        ),
        ('[[clips]]\npath = "polyp.mp4"', "a clip has one of"),
        ('[[clips]]\npath = "polyp.mp4"\nshown = [[1, 2]]\npolyp = false', "a clip has one of"),
        ('[[clips]]\npath = "polyp.mp4"\nshown = [[5, 2]]', "in order and apart"),
        ('[[clips]]\npath = "polyp.mp4"\nshown = [[1, 5], [5, 9]]', "in order and apart"),
        (
            '[[clips]]\npath = "polyp.mp4"\n[[clips.lesions]]\nframes = [[1, 2]]\nboxes = [[1, 9, 0, 5, 5]]',
            "left < right",
        ),
        (
            '[[clips]]\npath = "polyp.mp4"\n[[clips.lesions]]\nframes = [[1, 2]]\nboxes = [[1, 0, 0, inf, 5]]',
            "finite number",
        ),
        ('[[clips]]\npath = "polyp.mp4"\npolyp = false\n[limits]\nmax_longer_delay_ms = inf', "finite number"),
        ('[[clips]]\npath = "polyp.mp4"\n[[clips.lesions]]\nname = "a"', "needs frames"),
        ("clips = []", "at least 1 item"),
        ("[[clips", "is no TOML"),
        ('[[clips]]\npath = "gone.mp4"\npolyp = false', "is no file"),
        ('[[clips]]\npath = "polyp.mp4"\npolyp = false\n' * 2, "names a clip twice"),
        ('[[clips]]\npath = "../elsewhere.mp4"\npolyp = false', "lies outside its folder"),
        ('[[clips]]\npath = "link.mp4"\npolyp = false', "lies outside its folder"),
        ('[[clips]]\npath = "polyp.mp4"\n[[clips.lesions]]\nmasks = "../masks"', "lies outside its folder"),
    ],
)
def test_a_file_of_clips_that_cannot_be_meant_is_refused(folder: Path, text: str, words: str) -> None:
    shutil.copy(folder / "polyp.mp4", folder.parent / "elsewhere.mp4")
    (folder / "link.mp4").symlink_to(folder.parent / "elsewhere.mp4")
    with pytest.raises(BadInputError) as refusal:
        read_clips(written(folder, text))
    assert words in str(refusal.value)


def test_an_absolute_path_and_a_link_inside_are_taken(folder: Path) -> None:
    shutil.copy(folder / "polyp.mp4", folder.parent / "elsewhere.mp4")
    (folder / "link.mp4").symlink_to("normal.mp4")
    absolute = f'[[clips]]\npath = "{folder.parent}/elsewhere.mp4"\nshown = [[0, 3]]\n'
    text = absolute + '[[clips]]\npath = "link.mp4"\npolyp = false'
    clips = read_clips(written(folder, text)).clips
    assert [clip.path.exists() for clip in clips] == [True, True]


def test_the_hash_is_that_of_text_and_videos(folder: Path) -> None:
    before = read_clips(folder / "clips.toml").sha256
    assert read_clips(folder / "clips.toml").sha256 == before
    with (folder / "normal.mp4").open("ab") as stream:
        stream.write(b"\0")
    changed = read_clips(folder / "clips.toml").sha256
    assert changed != before
    (folder / "clips.toml").write_text((folder / "clips.toml").read_text() + "\n[limits]\nmin_agreement = 0.5\n")
    assert read_clips(folder / "clips.toml").sha256 not in (before, changed)


def test_the_hash_is_that_of_the_masks_and_of_no_stray_file(folder: Path) -> None:
    (folder / "masks").mkdir()
    (folder / "masks" / "frame_000030.png").write_bytes(b"a mask")
    path = written(folder, '[[clips]]\npath = "polyp.mp4"\n[[clips.lesions]]\nmasks = "masks"')
    before = read_clips(path).sha256
    (folder / "masks" / "._frame_000030.png").write_bytes(b"the system's own")
    assert read_clips(path).sha256 == before
    (folder / "masks" / "frame_000030.png").write_bytes(b"another mask")
    assert read_clips(path).sha256 != before


@pytest.mark.parametrize("last", [FRAMES, 10_000])
def test_a_range_beyond_the_clip_is_refused(folder: Path, prove, last: int) -> None:
    text = f'[[clips]]\npath = "polyp.mp4"\nshown = [[20, {last}]]'
    with pytest.raises(BadInputError, match=f"has no frame {last}"):
        prove(network(right), file=written(folder, text))


def test_masks_tell_when_and_where_and_so_which_marks_are_false(folder: Path, prove) -> None:
    """Two lesions: the disc by its masks, and a box where nothing is ever marked."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    for index in range(FRAMES):
        y, x = disc_centre(index)
        disc = (rows - y) ** 2 + (columns - x) ** 2 < 14**2
        write_png(folder / "masks" / f"frame_{index:06d}.png", (disc & (30 <= index <= 79)).astype(np.uint8) * 255)
    text = (
        '[[clips]]\npath = "polyp.mp4"\n'
        '[[clips.lesions]]\nname = "disc"\nmasks = "masks"\n'
        "[[clips.lesions]]\nframes = [[40, 50]]\nboxes = [[40, 0, 0, 6, 6]]\n"
        "[limits]\nmax_lost_lesions = 0\n"
    )
    verdict: ClipVerdict = prove(network(right), file=written(folder, text))
    disc_row, corner = verdict.lesions
    assert (disc_row.lesion, corner.lesion) == ("disc", "lesion 2")
    assert disc_row.shown_frames == 50 and disc_row.engine.found and disc_row.engine.marked_share == 1
    assert not corner.engine.found and corner.engine.first_mark_ms is None and corner.engine.longest_miss_frames == 11
    assert verdict.false_activations.judged_frames == FRAMES
    # The disc is in view from frame 20 on, and its masks say from 30 on.
    assert verdict.false_activations.false_frame_share == pytest.approx(10 / FRAMES)
    assert [row.count for row in verdict.false_activations.counts] == [1, 1, 0, 0, 0]
    (folder / "masks" / "frame_000043.png").unlink()
    with pytest.raises(BadInputError, match="lack frame 43"):
        prove(network(right), file=written(folder, text))


def test_delays_come_from_the_live_report_of_the_same_engine(tmp_path: Path) -> None:
    status = {
        "engine": "a" * 64,
        "picture_age_ms": {"p50": 12.0, "p99": 15.5},
        "mask_age_ms": {"p50": 40.0, "p99": None},
        "frames": 250,
        "source": "clip.mp4",
    }
    path = tmp_path / "live.json"
    path.write_text(json.dumps(status))
    delays = read_live_delays(path, "a" * 64)
    assert (delays.picture_p99_ms, delays.mark_p50_ms, delays.mark_p99_ms, delays.frames) == (15.5, 40.0, None, 250)
    with pytest.raises(MismatchError, match="another engine"):
        read_live_delays(path, "b" * 64)
    for text in ("{}", "[]", "no JSON", json.dumps(status | {"frames": "many"})):
        path.write_text(text)
        with pytest.raises(BadInputError, match="no report of live video"):
            read_live_delays(path, "a" * 64)
