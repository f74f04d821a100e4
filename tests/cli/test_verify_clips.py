"""`edgeseg verify --clips`, with and without labelled images. The tiny engine marks what is bright."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgeseg.artifacts import ClipVerdict, EngineArtifact, Verdict
from edgeseg.cli import run
from edgeseg.images import write_png
from edgeseg.runtime.passport.passports import passport_path
from tests.cli.test_verify import shift_bias
from tests.clips import Videos


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A clip of 40 frames whose upper part is a polyp (140 grey) from frame 10 on."""
    pictures = []
    for index in range(40):
        picture = np.full((64, 64, 3), 20 + index, np.uint8)
        picture[4 : 24 + index % 3, 8:40] = 150 if index >= 10 else 20 + index
        pictures.append(picture)
    folder = tmp_path / "set"
    folder.mkdir()
    Videos.write(folder / "clip.mp4", pictures)
    (folder / "clips.toml").write_text('[[clips]]\npath = "clip.mp4"\nshown = [[10, 39]]\n')
    return folder / "clips.toml"


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    for index in range(8):
        frame = np.full((32, 32, 3), 20 + index, np.uint8)
        frame[:8] = 230
        write_png(tmp_path / "data" / "test" / "images" / f"{index}.png", frame)
        write_png(tmp_path / "data" / "test" / "masks" / f"{index}.png", (frame[..., 0] > 100).astype(np.uint8) * 255)
    return tmp_path / "data"


@pytest.fixture
def words(tiny_engine: Path, tiny_onnx: Path, clips: Path) -> list[str]:
    return ["verify", str(tiny_engine), "--reference", str(tiny_onnx), "--clips", str(clips)]


def test_clips_alone_give_a_verdict_a_page_and_an_exit_code(
    words: list[str], tiny_engine: Path, tmp_path: Path, capsys
) -> None:
    assert run([*words, "--json", "--report", str(tmp_path / "report")]) == 0
    verdict = ClipVerdict.from_json(capsys.readouterr().out)
    assert verdict.passed is True and verdict.lesions_found.engine == 1
    assert ClipVerdict.read(tmp_path / "report" / "verdict.json") == verdict
    assert (tmp_path / "report" / "verdict.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert run(["inspect", str(tmp_path / "report" / "verdict.json")]) == 0
    assert "ClipVerdict" in capsys.readouterr().out
    shift_bias(tiny_engine, -20)
    assert run(words) == 3
    told = capsys.readouterr().out
    assert told.startswith("FAILED") and "it loses clip.mp4: polyp" in told and "not measured by a file" in told


def test_beside_images_the_worse_of_the_two_decides(
    words: list[str], labelled: Path, tiny_engine: Path, tmp_path: Path, capsys
) -> None:
    both = [*words, "--data", str(labelled), "--json", "--report", str(tmp_path / "report")]
    assert run(both) == 0
    verdict = Verdict.from_json(capsys.readouterr().out)
    assert verdict.passed is True and verdict.clips is not None and verdict.clips.passed is True
    assert set(verdict.clips.reasons) < set(verdict.reasons)
    assert "False activations" in (tmp_path / "report" / "verdict.html").read_text(encoding="utf-8")
    shift_bias(tiny_engine, -20)
    assert run(both) == 3
    verdict = Verdict.from_json(capsys.readouterr().out)
    assert verdict.mean_dice_drop == 0 and verdict.passed is False, "only the clip shows anything that is dim"
    assert "loses clip.mp4: polyp" in verdict.reasons[0]


def test_delays_are_those_of_the_live_report(words: list[str], tiny_engine: Path, tmp_path: Path, capsys) -> None:
    ages = {"p50": 3.0, "p99": 4.5}
    status = {"picture_age_ms": ages, "mask_age_ms": ages, "frames": 9, "source": "camera"}
    sha256 = EngineArtifact.read(passport_path(tiny_engine)).engine_sha256
    report = tmp_path / "live.json"
    report.write_text(json.dumps(status | {"engine": sha256}))
    assert run([*words, "--live-report", str(report)]) == 0
    assert "picture 3.0/4.5, mark 3.0/4.5" in capsys.readouterr().out
    report.write_text(json.dumps(status | {"engine": "0" * 64}))
    assert run([*words, "--live-report", str(report)]) == 6


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "nothing to verify on"),
        (["--data", "DATA", "--live-report", "live.json"], "works with --clips only"),
        (["--clips", "CLIPS", "--max-lost-polyps", "1"], "no labelled images"),
    ],
)
def test_flags_that_would_do_nothing_are_refused(
    tiny_engine: Path, tiny_onnx: Path, flags: list[str], told: str, capsys
) -> None:
    assert run(["verify", str(tiny_engine), "--reference", str(tiny_onnx), *flags]) == 2
    assert told in capsys.readouterr().err


def test_an_int8_engine_that_does_not_pass_names_advise(
    words: list[str], tiny_engine: Path, tiny_onnx: Path, tmp_path: Path, capsys
) -> None:
    shift_bias(tiny_engine, -20)
    passport = EngineArtifact.read(passport_path(tiny_engine))
    passport.model_copy(update={"precision": "int8"}).write(passport_path(tiny_engine))
    assert run([*words, "--report", str(tmp_path / "report")]) == 3
    command = f"edgeseg advise {tiny_onnx} --data DIR"
    assert f"next: {command}\n" in capsys.readouterr().out
    assert ClipVerdict.read(tmp_path / "report" / "verdict.json").next_command == command
    assert command in (tmp_path / "report" / "verdict.html").read_text(encoding="utf-8")
