import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgeseg.artifacts import EngineArtifact, Verdict
from edgeseg.cli import run
from edgeseg.files import sha256_bytes
from edgeseg.graph.onnx_files import serialize
from edgeseg.images import write_png
from edgeseg.proof.timing.baseline_timing import time_against_baseline
from edgeseg.runtime.passport.passports import passport_path

Call = Callable[..., int]


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Eight images: 8 bright rows and 4 dim ones (140) of 32, all of them polyp."""
    for index in range(8):
        frame, mask = np.full((32, 32, 3), 20 + index, np.uint8), np.zeros((32, 32), np.uint8)
        frame[:8], frame[8:12], mask[:12] = 230, 140, 255
        write_png(tmp_path / "data" / "test" / "images" / f"{index}.png", frame)
        write_png(tmp_path / "data" / "test" / "masks" / f"{index}.png", mask)
    return tmp_path / "data"


@pytest.fixture
def call(tiny_engine: Path, tiny_onnx: Path, labelled: Path) -> Call:
    """Run `edgeseg verify` on the tiny engine and its own network."""

    def verify(*arguments: str) -> int:
        command = ["verify", str(tiny_engine), "--reference", str(tiny_onnx), "--data", str(labelled)]
        return run([*command, *arguments])

    return verify


def shift_bias(engine: Path, bias: float) -> None:
    """Spoil an engine and let its passport agree: a bias of -20 marks what is brighter than 160."""
    proto = onnx.load_model_from_string(engine.read_bytes())
    next(tensor for tensor in proto.graph.initializer if tensor.name == "bias").float_data[:] = [bias]
    engine.write_bytes(serialize(proto))
    passport = EngineArtifact.read(passport_path(engine))
    passport.model_copy(update={"engine_sha256": sha256_bytes(engine.read_bytes())}).write(passport_path(engine))


def test_the_same_network_passes(call: Call, capsys) -> None:
    assert call("--json") == 0
    verdict = Verdict.from_json(capsys.readouterr().out)
    assert verdict.passed is True
    assert (verdict.mean_dice, verdict.mean_dice_drop, verdict.image_count) == (1, 0, 8)
    assert (verdict.int8_convolutions, verdict.convolutions) == (0, 1)
    assert verdict.limits.max_dice_drop == 0.0005


def test_the_text_names_the_engine_that_it_holds_for(call: Call, tiny_engine: Path, capsys) -> None:
    call()
    said = " ".join(capsys.readouterr().out.split())
    assert f"this holds for the engine with sha256 {sha256_bytes(tiny_engine.read_bytes())}" in said


def test_nothing_is_written_without_report(call: Call, tmp_path: Path, capsys) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert call() == 0
    assert sorted(tmp_path.rglob("*")) == before
    output = capsys.readouterr().out
    assert output.startswith("PASSED") and "not on a GPU" in output and "not a medical device" in output


def test_a_worse_engine_exits_with_3_and_still_prints_its_verdict(call: Call, tiny_engine: Path, capsys) -> None:
    shift_bias(tiny_engine, -20)
    assert call("--json") == 3
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["passed"] is False
    assert verdict["mean_dice_drop"] == pytest.approx(1 - 2 * 8 / 20)


def test_a_looser_limit_lets_it_through(call: Call, tiny_engine: Path, capsys) -> None:
    shift_bias(tiny_engine, -20)
    assert call("--max-dice-drop", "0.25") == 0


def test_a_demanded_gain_that_is_not_there(call: Call, capsys) -> None:
    assert call("--max-dice-drop", "-0.01") == 3
    assert capsys.readouterr().out.startswith("FAILED")


def test_an_engine_of_nan_fails(call: Call, tiny_engine: Path, capsys) -> None:
    shift_bias(tiny_engine, float("nan"))
    assert call("--max-dice-drop", "1") == 3
    assert "NaN or infinity on 8 of 8 images" in capsys.readouterr().out


def test_undecided_exits_with_3(call: Call, labelled: Path, capsys) -> None:
    for index in range(3):
        (labelled / "test" / "images" / f"{index}.png").unlink()
        (labelled / "test" / "masks" / f"{index}.png").unlink()
    assert call("--json") == 3
    assert json.loads(capsys.readouterr().out)["passed"] == "undecided"


def test_latency_limit(call: Call, capsys) -> None:
    assert call("--max-p99-ms", "0.0001") == 3
    assert call("--max-p99-ms", "60000") == 0


def test_an_engine_against_itself_as_baseline_engine(
    call: Call, tiny_engine: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    report = tmp_path / "report"
    monkeypatch.setattr("edgeseg.proof.timing.baseline_timing.WANTED_ROUNDS", 30)
    short = functools.partial(time_against_baseline, max_s=0.5)
    monkeypatch.setattr("edgeseg.proof.verdict.verification.time_against_baseline", short)
    limits = ("--baseline-engine", str(tiny_engine), "--max-slowdown", "1e9")  # no machine is too noisy for that
    assert call(*limits, "--report", str(report), "--json") == 0
    verdict = Verdict.read(report / "verdict.json")
    timing, evidence = verdict.baseline_timing, verdict.latency_evidence
    assert timing is not None and evidence is not None
    assert timing.baseline_sha256 == verdict.engine_sha256 == sha256_bytes(tiny_engine.read_bytes())
    assert len(timing.engine_samples_ms) == timing.rounds and evidence.samples == 200
    rule = next(rule for rule in verdict.rules if rule.rule == "baseline engine")
    assert rule.passed is True and "times its undisturbed time" in rule.reasons[0]
    assert timing.baseline.p99_ms == pytest.approx(np.percentile(timing.baseline_samples_ms, 99), abs=1e-3)
    page = (report / "verdict.html").read_text()
    assert "Timed in turns with the baseline engine" in page and "Baseline engine, fp32 on onnxruntime" in page
    capsys.readouterr()
    assert call("--max-slowdown", "5") == 2
    assert "--baseline-engine" in capsys.readouterr().err


def test_the_text_says_what_the_times_rest_on(call: Call, capsys) -> None:
    assert call() == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "over 200 images: p99's 95 % interval is" in said and " and up ms; " in said
    assert "the maximum of these is no p99.9" in said and "meanwhile: " in said


def test_lost_polyps(call: Call, tiny_engine: Path, labelled: Path, capsys) -> None:
    for index in range(8):  # 8 bright rows and 12 dim ones: without these the IoU is 8 / 20
        mask = np.zeros((32, 32), np.uint8)
        mask[:20] = 255
        frame = np.full((32, 32, 3), 20 + index, np.uint8)
        frame[:8], frame[8:20] = 230, 140
        write_png(labelled / "test" / "images" / f"{index}.png", frame)
        write_png(labelled / "test" / "masks" / f"{index}.png", mask)
    assert call("--max-lost-polyps", "0") == 0
    shift_bias(tiny_engine, -20)
    capsys.readouterr()
    assert call("--max-dice-drop", "1") == 0
    output = capsys.readouterr().out
    assert "warning: the engine loses the polyp of 8 of 8 images" in output
    assert "polyps found (IoU 0.5 or more): 0 of 8 (reference 8), 8 lost, 0 gained" in output
    assert call("--max-dice-drop", "1", "--max-lost-polyps", "8") == 0
    capsys.readouterr()
    assert call("--max-dice-drop", "1", "--max-lost-polyps", "7", "--json") == 3
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["polyps"]["lost"]["names"] == [str(index) for index in range(8)]
    assert verdict["reasons"][0].endswith("this is beyond --max-lost-polyps 7")
    assert call("--max-lost-polyps", "-1") == 2


def test_the_report_and_its_verdict_as_baseline(call: Call, tiny_engine: Path, tmp_path: Path, capsys) -> None:
    report = tmp_path / "report"
    assert call("--report", str(report), "--json") == 0
    assert json.loads(capsys.readouterr().out) == json.loads((report / "verdict.json").read_text())
    assert "✓ passed" in " ".join((report / "verdict.html").read_text().split())
    assert run(["inspect", str(report / "verdict.json")]) == 0
    assert "mean Dice drop 0.0000 is within" in capsys.readouterr().out
    shift_bias(tiny_engine, -20)
    assert call("--baseline", str(report / "verdict.json"), "--max-dice-drop", "0.1") == 3
    assert "against the baseline's 1.0000" in capsys.readouterr().out


def test_a_failed_engine_never_becomes_the_baseline(call: Call, tiny_engine: Path, tmp_path: Path, capsys) -> None:
    report = tmp_path / "report"
    assert call("--report", str(report)) == 0
    before = (report / "verdict.json").read_bytes()
    shift_bias(tiny_engine, -20)
    assert call("--baseline", str(report / "verdict.json"), "--report", str(report)) == 2
    assert (report / "verdict.json").read_bytes() == before


def test_a_baseline_of_other_data(call: Call, labelled: Path, tmp_path: Path, capsys) -> None:
    assert call("--report", str(tmp_path / "report")) == 0
    write_png(labelled / "test" / "masks" / "0.png", np.zeros((32, 32), np.uint8))
    assert call("--baseline", str(tmp_path / "report" / "verdict.json")) == 6


def test_a_baseline_that_is_none(call: Call, tmp_path: Path, capsys) -> None:
    (tmp_path / "junk.json").write_text("{}")
    assert call("--baseline", str(tmp_path / "junk.json")) == 5


def test_an_engine_without_its_passport(call: Call, tiny_engine: Path, capsys) -> None:
    passport_path(tiny_engine).unlink()
    assert call() == 6


def test_an_engine_that_was_changed(call: Call, tiny_engine: Path, capsys) -> None:
    tiny_engine.write_bytes(tiny_engine.read_bytes() + b"\0")
    assert call() == 6


def test_images_without_masks(call: Call, labelled: Path, tmp_path: Path, capsys) -> None:
    (labelled / "test" / "masks" / "0.png").unlink()
    assert call("--report", str(tmp_path / "report")) == 5
    assert not (tmp_path / "report").exists()


def test_a_limit_that_is_no_number(call: Call, capsys) -> None:
    assert call("--max-dice-drop", "nan") == 2


def test_the_reference_is_demanded(tiny_engine: Path, labelled: Path, capsys) -> None:
    assert run(["verify", str(tiny_engine), "--data", str(labelled)]) == 2


def test_the_command_itself_imports_nothing_heavy() -> None:
    imports = "import sys, edgeseg.cli.verify, edgeseg.cli.evaluate"
    code = f"{imports}; print({{'cv2', 'onnx', 'jinja2', 'numpy'}} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_an_int8_engine_that_does_not_pass_names_advise(
    call: Call, tiny_engine: Path, tiny_onnx: Path, labelled: Path, tmp_path: Path, capsys
) -> None:
    shift_bias(tiny_engine, -20)
    assert call() == 3
    assert "next:" not in capsys.readouterr().out  # float32: there is nothing to choose instead
    passport = EngineArtifact.read(passport_path(tiny_engine))
    passport.model_copy(update={"precision": "int8"}).write(passport_path(tiny_engine))
    report = tmp_path / "report"
    assert call("--max-lost-polyps", "0", "--report", str(report)) == 3
    command = f"edgeseg advise {tiny_onnx} --data {labelled} --max-lost-polyps 0"
    assert f"next: {command}" in capsys.readouterr().out
    assert command in (report / "verdict.html").read_text()
    assert Verdict.read(report / "verdict.json").next_command == command
    assert call("--max-dice-drop", "0.5") == 0
    assert "next:" not in capsys.readouterr().out
