"""Images, masks and data sets."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.artifacts import Precision, Verdict
from edgeseg.dataset import load_pairs
from edgeseg.images import read_mask
from edgeseg.proof.verdict.engine_comparison import Comparison
from edgeseg.proof.verdict.rules import conclude, limits_for
from edgeseg.proof.verdict.verification import judge

Case = Callable[[str], Path]
Command = Callable[..., tuple[int, Any, str]]
AREAS = {"p0": 253, "p1": 253, "p2": 441, "p3": 901}
"""The pixels of the disc in each picture, counted where the discs are drawn."""


@pytest.mark.parametrize("name", ["m01", "ignore255", "pal_voc", "rgb_red", "rgba_alpha"])
def test_masks_are_read_as_they_were_drawn(case: Case, command: Command, name: str) -> None:
    folder = case(f"masks-read-wrong/{name}")
    code, report, _ = command("data", "inspect", folder)
    assert (code, report["problems"]) == (0, [])
    pairs = load_pairs(folder)
    assert {pair.name: int(np.count_nonzero(pair.read_labelled().mask)) for pair in pairs} == AREAS
    frame, mask = pairs[0].read()
    assert frame[mask > 0].mean(axis=0)[0] > 200  # a bright red disc lies below
    assert (report["ignored_share"] > 0) == (name == "ignore255")


def test_a_turned_picture_is_refused_until_somebody_says_how_its_mask_was_drawn(
    case: Case, command: Command, tmp_path: Path
) -> None:
    folder = case("masks-read-wrong/exif6")
    code, report, _ = command("data", "inspect", folder)
    assert code == 5 and len(report["problems"]) == 4
    code, _, _ = command("data", "convert", folder, "--out", tmp_path / "out", "--exif", "stored")
    assert code == 0
    for pair in load_pairs(tmp_path / "out"):
        frame, mask = pair.read()
        assert frame[mask > 0].mean(axis=0)[0] > 200


@pytest.mark.parametrize("name", ["appledouble", "mask-suffix"])
def test_names_and_companions(case: Case, command: Command, name: str) -> None:
    folder = case(name)
    code, report, _ = command("data", "inspect", folder)
    assert (code, report["problems"], report["splits"][0]["pairs"]) == (0, [], 4)
    hidden = [path for path in folder.rglob("*") if path.name.startswith("._") or path.suffix in (".db", ".ini")]
    assert any("hidden" in note for note in report["notes"]) == bool(hidden)
    assert {pair.name: int(np.count_nonzero(pair.read()[1])) for pair in load_pairs(folder)} == AREAS


def test_image_files(case: Case, command: Command, red_engine: Path, tmp_path: Path) -> None:
    for name, words in (("hole.jpg", "is cut off or damaged"), ("huge.png", "is too large")):
        code, _, said = command("run", red_engine, case(f"image-files/{name}"), "--masks", tmp_path / name)
        assert code == 5 and words in said and not (tmp_path / name).exists()
    code, _, _ = command("run", red_engine, case("image-files/trail.png"), "--masks", tmp_path / "trail")
    assert code == 0
    whole = cv2.imread(str(case("image-files/trail.png")))
    mask = read_mask(tmp_path / "trail" / "trail.png")
    np.testing.assert_array_equal(mask > 0, (whole[..., 2] > 200) & (whole[..., 1] < 50))
    code, _report, _ = command("run", red_engine, case("image-files/mac"), "--masks", tmp_path / "mac")
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "mac").iterdir()) == ["IMG_1.png", "IMG_2.png"]


@pytest.mark.parametrize("name", ["stack.tif", "anim.webp", "anim.gif"])
def test_every_picture_of_a_file_has_its_mask(
    case: Case, command: Command, red_engine: Path, tmp_path: Path, name: str
) -> None:
    code, _, _ = command("run", red_engine, case(f"many-pictures-in-one-file/{name}"), "--masks", tmp_path / "m")
    assert code == 0
    masks = [read_mask(path) for path in sorted((tmp_path / "m").iterdir())]
    lefts = [int(np.flatnonzero((mask > 0).any(axis=0))[0]) for mask in masks]
    assert lefts == [20, 40, 60, 80, 100]  # the red box wanders by 20 pixels


def test_a_folder_in_order_with_what_was_left_out(
    case: Case, command: Command, red_engine: Path, tmp_path: Path
) -> None:
    code, _, said = command("run", red_engine, case("folder-order-and-skips/mix"), "--masks", tmp_path / "m")
    assert code == 5
    assert "1 .heic" in said and "5 pictures in one GIF file" in said and "the results of the others were kept" in said
    names = {path.stem for path in (tmp_path / "m").iterdir()}
    assert names == {f"frame_{number}" for number in (1, 2, 4, 5, 10, 11)}


def test_the_verdict_that_passed_at_a_dice_of_a_tenth(case: Case) -> None:
    """Its figures, judged anew; thumbnails of the masks were not kept, so that the other rules have to do."""
    former = Verdict.read(case("verify-passes-nonsense/unet_convnext.int8.verdict.json"))
    assert former.passed is True
    precision: Precision = former.precision
    comparison = Comparison(former.rows, ())
    limits = limits_for(precision, None, None, None, 0.4, 0.7)
    judged = judge(comparison, former.latency, limits, precision)
    findings = [finding for each in judged.values() for finding in each]
    assert conclude(findings) is False
    words = "\n".join(finding.reason for finding in findings if finding.outcome is not True)
    for reason in ("agree with the reference's to a mean Dice of 0.3804", "below --min-reference-dice 0.4"):
        assert reason in words
    assert "the reference finds the polyp of none" in words


def test_credentials_of_cameras_are_hidden(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(case("camera-credentials/cred.py")))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 20
    assert [line for line in lines if not line.startswith("ok") or "GEHEIM" in line] == []


def test_every_case_that_is_a_file_has_a_test(case: Case) -> None:
    """Folders of words alone are tested beside the code: tests/cli, tests/runtime/live, tests/calibration."""
    words_alone = {"int8-hardswish", "mjpeg-http-rate", "non-utf8-terminal", "ort-telemetry"}
    here = Path(__file__).parent
    tested = "\n".join(path.read_text() for path in here.glob("*.py"))
    names = {path.name for path in case("").iterdir() if path.is_dir()}
    assert {name for name in names - words_alone if name not in tested} == set()
