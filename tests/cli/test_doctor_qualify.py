"""`edgeseg doctor --qualify`, as a user types it."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgeseg.artifacts import EngineArtifact
from edgeseg.cli import run
from edgeseg.images import write_png
from edgeseg.machine.bench.bench_report import BenchReport
from edgeseg.machine.bench.plan import BenchPlan
from edgeseg.machine.doctor.checks import DoctorReport
from edgeseg.machine.qualify import bench_process
from edgeseg.machine.qualify import engine_qualification as engine
from edgeseg.machine.qualify.bench_process import bench_apart
from edgeseg.machine.qualify.qualification import conclude
from edgeseg.machine.qualify.qualification_values import EngineQualification, Qualification
from edgeseg.proof.timing.stability import StabilityRule
from edgeseg.runtime.passport.passports import passport_path
from tests.cli.test_doctor import plain_report

pytestmark = pytest.mark.usefixtures("own_cache")
Qualify = Callable[..., tuple[int, Qualification]]


@pytest.fixture(autouse=True)
def short_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure in tenths of seconds and in this process; `test_a_bench_in_a_process_of_its_own` does it as users do."""
    rule = StabilityRule(window_samples=2, window_s=0.0, max_s=0.2)
    plan = BenchPlan(rates=(Fraction(200),), lanes=(), batches=(), rule=rule)
    monkeypatch.setattr(bench_process, "PLAN", plan)
    monkeypatch.setattr(bench_process, "FRAME_SIZE", (48, 64))
    monkeypatch.setattr(engine, "bench_apart", lambda path: BenchReport.from_json(bench_process.measure(str(path))))


@pytest.fixture
def table(tiny_onnx: Path, small_images: Path, capsys) -> Path:
    """A calibration table beside the tiny network."""
    out = tiny_onnx.with_suffix(".calibration.json")
    assert run(["calibrate", str(tiny_onnx), "--data", str(small_images), "--out", str(out)]) == 0
    capsys.readouterr()
    return out


@pytest.fixture
def qualify(tiny_onnx: Path, tmp_path: Path, capsys) -> Qualify:
    """Qualify the tiny network with ONNX Runtime; gives the exit code and the document."""

    def call(*arguments: object) -> tuple[int, Qualification]:
        command = ["doctor", "--qualify", tiny_onnx, "--backend", "onnxruntime", "--soak-seconds", 0]
        capsys.readouterr()
        code = run([*map(str, [*command, "--out", tmp_path / "q", *arguments]), "--json"])
        return code, Qualification.from_json(capsys.readouterr().out)

    return call


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Eight pictures whose bright third is polyp."""
    for index in range(8):
        frame, mask = np.full((48, 48, 3), 20 + index, np.uint8), np.zeros((48, 48), np.uint8)
        frame[:16], mask[:16] = 230, 255
        write_png(tmp_path / "data" / "test" / "images" / f"{index}.png", frame)
        write_png(tmp_path / "data" / "test" / "masks" / f"{index}.png", mask)
    return tmp_path / "data"


def test_every_precision_is_qualified(qualify: Qualify, table: Path, tmp_path: Path) -> None:
    code, result = qualify()
    assert (code, result.passed, result.proves_accuracy) == (0, True, False)
    assert [(row.precision, row.outcome) for row in result.engines] == [
        ("fp32", "passed"),
        ("fp16", "passed"),
        ("int8", "passed"),
    ]
    assert "no proof of accuracy" in result.summary
    for row in result.engines:
        assert row.built is not None and row.soak is not None and row.bench is not None
        assert row.agreement is not None and row.soak.errors == 0
        passport = EngineArtifact.read(passport_path(tmp_path / "q" / row.built.file))
        assert passport.engine_sha256 == row.built.engine_sha256 == row.bench.engine_sha256
        assert [paced.rate_hz for paced in row.bench.paced] == [200]
        assert str(tmp_path / "q" / row.built.file) in passport.rebuild
    assert Qualification.read(tmp_path / "q" / "qualify.json") == result
    page = (tmp_path / "q" / "qualify.html").read_text()
    assert "no proof of accuracy" in page and page.count("onnxruntime int8") == 2
    assert not re.search(r"(src|href)=\"?http", page)
    assert [path.name for path in (tmp_path / "q").iterdir() if path.name.startswith(".")] == []


def test_a_second_run_takes_up_what_is_done(qualify: Qualify, table: Path, tmp_path: Path) -> None:
    _, first = qualify()
    (tmp_path / "q" / "onnxruntime.fp16.engine").unlink()
    before = (tmp_path / "q" / "onnxruntime.fp32.engine").stat().st_mtime_ns
    code, second = qualify()
    assert code == 0
    assert (tmp_path / "q" / "onnxruntime.fp32.engine").stat().st_mtime_ns == before
    assert (tmp_path / "q" / "onnxruntime.fp16.engine").is_file()
    assert second.engines[0] == first.engines[0] and second.engines[1] != first.engines[1]
    _, longer = qualify("--soak-seconds", 0.5)
    assert longer.engines[0].fingerprint != first.engines[0].fingerprint


def test_int8_without_a_table_is_left_out(qualify: Qualify, tiny_onnx: Path, tmp_path: Path, capsys) -> None:
    code, result = qualify("--precision", "int8", "--precision", "fp32")
    assert code == 0
    assert [(row.precision, row.outcome) for row in result.engines] == [("fp32", "passed"), ("int8", "left out")]
    assert "edgeseg calibrate" in result.engines[1].reasons[0]
    arguments = ["doctor", "--qualify", str(tiny_onnx), "--out", str(tmp_path / "r"), "--precision", "int8", "--json"]
    assert run(arguments) == 5
    assert "calibrate" in json.loads(capsys.readouterr().out)["next"]


def test_labelled_images_make_a_proof(qualify: Qualify, labelled: Path, tmp_path: Path) -> None:
    code, result = qualify("--data", labelled, "--precision", "fp32")
    assert (code, result.passed, result.proves_accuracy) == (0, True, True)
    verdict = result.engines[0].verdict
    assert verdict is not None
    assert (verdict.image_count, verdict.mean_dice, verdict.mean_dice_drop) == (8, 1, 0)
    assert (tmp_path / "q" / verdict.report / "verdict.html").is_file()
    assert f'href="{verdict.report}/verdict.html"' in (tmp_path / "q" / "qualify.html").read_text()


def test_too_few_labelled_images_are_undecided(qualify: Qualify, labelled: Path) -> None:
    for index in range(3):
        (labelled / "test" / "images" / f"{index}.png").unlink()
        (labelled / "test" / "masks" / f"{index}.png").unlink()
    code, result = qualify("--data", labelled, "--precision", "fp32")
    assert (code, result.passed) == (3, "undecided")


def test_a_network_that_finds_nothing_proves_nothing(qualify: Qualify, tiny_onnx: Path) -> None:
    proto = onnx.load(tiny_onnx)
    proto.graph.node[-1].output[0] = "p"
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0), "nothing"))
    proto.graph.node.append(onnx.helper.make_node("Mul", ["p", "nothing"], ["probability"], name="dead"))
    tiny_onnx.write_bytes(proto.SerializeToString())
    code, result = qualify("--precision", "fp32")
    (row,) = result.engines
    assert (code, result.passed, row.outcome) == (3, "undecided", "undecided")
    assert "the reference finds nothing on any of 16 frames" in row.reasons[0]
    assert row.agreement is not None and row.agreement.flipped_share == 0


def test_an_engine_that_differs_fails_with_3(qualify: Qualify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference is spoiled, so that the engine is not what it should be."""
    from edgeseg.machine.qualify import qualification
    from edgeseg.runtime.engine.local_engine import engine_of
    from edgeseg.runtime.opener.engine_from_file import open_engine

    class Spoiled:
        def __init__(self, session: Any) -> None:
            self.info, self.close, self._infer = session.info, session.close, session.infer

        def infer(self, frames: Any) -> Any:
            return 1 - self._infer(frames)

    monkeypatch.setattr(qualification, "open_engine", lambda path: engine_of(Spoiled(open_engine(path))))
    code, result = qualify("--precision", "fp32")
    assert (code, result.passed) == (3, False)
    assert "of the mask's pixels are not the reference's" in result.engines[0].reasons[0]
    record = EngineQualification.read(tmp_path / "q" / "onnxruntime.fp32.qualify.json")
    assert record == result.engines[0]


def test_a_builder_that_dies_fails_its_engine_alone(qualify: Qualify, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgeseg import child

    real = subprocess.run

    def die(command: list[str], **options: Any) -> Any:
        if "fp16" in command[-1]:
            command = [sys.executable, "-c", "import os; os.abort()"]
        return real(command, **options)

    monkeypatch.setattr(child.subprocess, "run", die)
    code, result = qualify("--precision", "fp16", "--precision", "fp32")
    assert code == 3
    assert [row.outcome for row in result.engines] == ["passed", "failed"]
    assert "the builder's process died; exit code -6" in result.engines[1].reasons[0]


@pytest.mark.slow
def test_a_bench_in_a_process_of_its_own(tiny_engine: Path) -> None:
    report = bench_apart(tiny_engine)
    assert report.engine_sha256 == EngineArtifact.read(passport_path(tiny_engine)).engine_sha256
    assert (report.settings.frame_height, report.settings.frame_width) == (1080, 1920)
    assert [paced.rate_hz for paced in report.paced] == [25, 60]
    assert (report.gpu, report.roofline, report.throughput) == (None, None, ())
    assert report.stages["infer"].p50_ms > 0


def test_an_engine_that_cannot_be_measured_fails(qualify: Qualify, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is spoiled after it was proven, so the child refuses it, in its own words."""

    def spoil_and_bench(path: Path) -> BenchReport:
        path.write_bytes(b"spoiled")
        return bench_apart(path)

    monkeypatch.setattr(engine, "bench_apart", spoil_and_bench)
    code, result = qualify("--precision", "fp32")
    assert (code, result.engines[0].outcome, result.engines[0].bench) == (3, "failed", None)
    assert result.engines[0].reasons[0].startswith("it does not run: ")
    assert "died" not in result.engines[0].reasons[0]


def test_a_model_that_is_none(tmp_path: Path, capsys) -> None:
    (tmp_path / "x.onnx").write_bytes(b"no network")
    assert run(["doctor", "--qualify", str(tmp_path / "x.onnx"), "--out", str(tmp_path / "q"), "--json"]) == 5
    assert not (tmp_path / "q").exists()


def test_a_backend_that_cannot_build(tiny_onnx: Path, tmp_path: Path, capsys) -> None:
    if DoctorReport.from_json(plain_report(capsys)).backend("tensorrt").builds:
        pytest.skip("TensorRT builds here")
    out = tmp_path / "q"
    assert run(["doctor", "--qualify", str(tiny_onnx), "--backend", "tensorrt", "--out", str(out), "--json"]) == 4
    assert "the backend tensorrt cannot build here" in json.loads(capsys.readouterr().out)["what"]
    assert not out.exists()


def test_sigterm_leaves_nothing_half_written(tiny_onnx: Path, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "q"
    code = "import edgeseg.cli, sys; sys.argv[0] = 'edgeseg'; edgeseg.cli.main()"
    command = ["doctor", "--qualify", str(tiny_onnx), "--backend", "onnxruntime", "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-c", code, *command], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (out / "onnxruntime.fp32.engine").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    assert not (out / "qualify.json").exists()
    assert [path for path in out.rglob("*") if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("outcomes", "passed"),
    [
        (["passed", "not executed", "left out"], True),
        (["passed", "failed", "undecided"], False),
        (["passed", "undecided"], "undecided"),
        (["not executed"], "undecided"),
        ([], "undecided"),
    ],
)
def test_the_whole_is_the_worst_that_was_executed(outcomes: list[Any], passed: object) -> None:
    assert conclude(outcomes) == passed
