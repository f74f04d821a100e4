"""`edgeseg protocol`, and `edgeseg verify --protocol` with the tiny engine, which marks what is bright."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.artifacts import EngineArtifact, Verdict
from edgeseg.cli import run
from edgeseg.files import sha256_file
from edgeseg.images import write_png
from edgeseg.runtime.passport.passports import passport_path
from tests.cli.test_verify import labelled as labelled
from tests.cli.test_verify import shift_bias
from tests.cli.test_verify_clips import clips as clips

Verify = Callable[..., tuple[int, dict[str, Any]]]
LATER = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(days=1)


def date_engine(engine: Path, built: datetime.datetime | None) -> None:
    path = passport_path(engine)
    EngineArtifact.read(path).model_copy(update={"built": built}).write(path)


@pytest.fixture
def protocol(tmp_path: Path, labelled: Path, tiny_engine: Path, capsys) -> Path:
    """A protocol over the labelled images; the engine is built after it."""
    path = tmp_path / "protocol.toml"
    words = ["--data", str(labelled), "--max-dice-drop", "0.005", "--max-lost-polyps", "0"]
    assert run(["protocol", "--out", str(path), "--by", "the clinic", *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sha256"] == sha256_file(path)
    date_engine(tiny_engine, LATER)
    return path


@pytest.fixture
def verify(tiny_engine: Path, tiny_onnx: Path, labelled: Path, protocol: Path, capsys) -> Verify:
    def call(*arguments: str) -> tuple[int, dict[str, Any]]:
        words = ["verify", str(tiny_engine), "--reference", str(tiny_onnx), "--data", str(labelled)]
        code = run([*words, "--protocol", str(protocol), "--json", *arguments])
        return code, json.loads(capsys.readouterr().out)

    return call


def test_a_protocol_that_is_kept(verify: Verify, protocol: Path, tmp_path: Path) -> None:
    code, verdict = verify("--report", str(tmp_path / "report"))
    assert code == 0 and verdict["passed"] is True
    record = verdict["protocol"]
    assert record["sha256"] == sha256_file(protocol) and record["set_by"] == "the clinic"
    assert (record["kept"], record["deviations"]) == (True, [])
    assert verdict["limits"]["max_dice_drop"] == 0.005, "the protocol's, not the default of the precision"
    assert verdict["limits"]["max_lost_polyps"] == 0
    page = " ".join((tmp_path / "report" / "verdict.html").read_text().split())
    assert "kept; set by the clinic" in page and record["sha256"] in page
    assert Verdict.read(tmp_path / "report" / "verdict.json").to_dict() == verdict


def test_inspect_shows_it_and_says_if_it_was_edited(protocol: Path, capsys) -> None:
    assert run(["inspect", str(protocol)]) == 0
    said = capsys.readouterr().out
    assert "protocol.toml: protocol" in said and "max_dice_drop 0.005" in said and "the clinic" in said
    protocol.write_text(protocol.read_text().replace("the clinic", "the vendor"))
    assert run(["inspect", str(protocol), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["edited"] is True


def test_other_data_limits_dates_and_text(
    verify: Verify, protocol: Path, tiny_engine: Path, labelled: Path, tmp_path: Path, capsys
) -> None:
    write_png(labelled / "test" / "images" / "0.png", np.full((32, 32, 3), 9, np.uint8))
    date_engine(tiny_engine, datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc))
    protocol.write_text(protocol.read_text().replace("the clinic", "the vendor"))
    code, verdict = verify("--max-dice-drop", "0.5", "--report", str(tmp_path / "report"))
    assert code == 3 and verdict["passed"] == "undecided"
    said = verdict["protocol"]["deviations"]
    assert [sentence.split(" ")[0] for sentence in said] == ["it", "it", "other", "--max-dice-drop"]
    assert verdict["data_sha256"] in said[2]
    assert said[3].endswith("the protocol fixes 0.005")
    assert verdict["reasons"][:4] == [f"the protocol protocol.toml was not kept: {sentence}" for sentence in said]
    page = (tmp_path / "report" / "verdict.html").read_text()
    assert "not kept" in page and "--max-dice-drop 0.5" in page


@pytest.mark.parametrize(
    "limit", [["--max-dice-drop", "0.001"], ["--max-lost-polyps", "1"], ["--min-agreement", "0.1"]]
)
def test_any_other_limit_is_told_a_stricter_one_too(verify: Verify, limit: list[str]) -> None:
    code, verdict = verify(*limit)
    assert code == 3 and verdict["protocol"]["kept"] is False
    assert verdict["protocol"]["deviations"][0].startswith(f"{limit[0]} {limit[1]} was judged")


def test_the_same_limit_and_further_demands_are_no_deviation(verify: Verify) -> None:
    code, verdict = verify("--max-dice-drop", "0.005", "--max-p99-ms", "60000")
    assert code == 0 and verdict["protocol"]["kept"] is True


def test_a_slowdown_is_fixed_and_needs_its_baseline_engine(
    verify: Verify, protocol: Path, tiny_engine: Path, labelled: Path, capsys
) -> None:
    protocol.unlink()
    words = ["--data", str(labelled), "--max-dice-drop", "0.005", "--max-slowdown", "1e9"]
    assert run(["protocol", "--out", str(protocol), "--by", "the clinic", *words]) == 0
    capsys.readouterr()
    code, verdict = verify()
    assert code == 3 and verdict["reasons"][0].endswith("no --baseline-engine was timed")
    code, verdict = verify("--baseline-engine", str(tiny_engine))
    assert code == 0 and verdict["limits"]["max_slowdown"] == 1e9


def test_a_passport_without_a_date(verify: Verify, tiny_engine: Path) -> None:
    date_engine(tiny_engine, None)
    code, verdict = verify()
    assert code == 3 and "does not say when the engine was built" in verdict["reasons"][0]


def test_an_engine_that_fails_stays_failed(verify: Verify, tiny_engine: Path) -> None:
    shift_bias(tiny_engine, -20)
    code, verdict = verify("--max-lost-polyps", "8")
    assert code == 3 and verdict["passed"] is False
    assert verdict["reasons"][-1].startswith("the protocol protocol.toml was not kept")


def test_clips_and_their_masks_are_fixed(
    clips: Path, tiny_engine: Path, tiny_onnx: Path, tmp_path: Path, labelled: Path, capsys
) -> None:
    masks = clips.parent / "masks"
    for index in range(40):
        mask = np.zeros((64, 64), np.uint8)
        mask[4 : 24 + index % 3, 8:40] = 255 * (index >= 10)
        write_png(masks / f"frame_{index:06d}.png", mask)
    clips.write_text('[[clips]]\npath = "clip.mp4"\n[[clips.lesions]]\nname = "polyp"\nmasks = "masks"\n')
    path = tmp_path / "clips-protocol.toml"
    assert run(["protocol", "--out", str(path), "--by", "the clinic", "--clips", str(clips)]) == 0
    date_engine(tiny_engine, LATER)
    words = ["verify", str(tiny_engine), "--reference", str(tiny_onnx), "--protocol", str(path)]
    capsys.readouterr()
    assert run([*words, "--clips", str(clips), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["protocol"]["kept"] is True
    assert run([*words, "--data", str(labelled)]) == 3
    assert "it fixes clips, and none were judged" in capsys.readouterr().out
    write_png(masks / "frame_000012.png", np.full((64, 64), 255, np.uint8))
    assert run([*words, "--clips", str(clips), "--json"]) == 3
    assert "other clips were judged" in json.loads(capsys.readouterr().out)["protocol"]["deviations"][0]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--max-dice-drop", "0.005"], 2),
        (["--data", "DATA"], 2),
        (["--data", "DATA", "--max-dice-drop", "nan"], 2),
        (["--data", "missing", "--max-dice-drop", "0.005"], 5),
        (["--clips", "missing.toml"], 5),
        (["--clips", "missing.toml", "--max-lost-polyps", "0"], 2),
    ],
)
def test_what_cannot_be_fixed_is_refused(labelled: Path, tmp_path: Path, words: list[str], code: int, capsys) -> None:
    out = tmp_path / "protocol.toml"
    words = [str(labelled) if word == "DATA" else word for word in words]
    assert run(["protocol", "--out", str(out), "--by", "the clinic", *words]) == code
    assert not out.exists()


def test_a_folder_for_the_protocol(labelled: Path, tiny_engine: Path, tiny_onnx: Path, tmp_path: Path, capsys) -> None:
    words = ["--data", str(labelled), "--max-dice-drop", "0.005"]
    assert run(["protocol", "--out", str(tmp_path), "--by", "the clinic", *words]) == 5
    call = ["verify", str(tiny_engine), "--reference", str(tiny_onnx), "--data", str(labelled)]
    assert run([*call, "--protocol", str(tmp_path)]) == 5
