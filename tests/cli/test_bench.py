from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeseg import cli
from edgeseg.artifacts import EngineArtifact
from edgeseg.machine.bench.bench_report import BenchReport
from edgeseg.runtime.passport.passports import passport_path

Call = Callable[..., int]
QUICK = ("--seconds", "0.1", "--size", "96x64")


@pytest.fixture
def bench(tiny_engine: Path) -> Call:
    def call(*arguments: object, engine: Path = tiny_engine) -> int:
        return cli.run(["bench", str(engine), *map(str, (*QUICK, *arguments))])

    return call


def test_everything_in_one_document(bench: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench.json"
    assert bench("--rate", "50,100", "--lanes", "1,2,64", "--json") == 2
    capsys.readouterr()
    assert bench("--rate", "50,100", "--lanes", "1,16", "--batch", "1,3", "--out", out, "--json") == 0
    report = BenchReport.from_json(capsys.readouterr().out)
    assert report == BenchReport.read(out)
    assert (report.backend, report.precision, report.gpu) == ("onnxruntime", "fp32", None)
    assert (report.settings.frame_height, report.settings.frame_width, report.settings.tf32) == (64, 96, False)
    assert [paced.rate_hz for paced in report.paced] == [50, 100]
    assert [(point.kind, point.lanes, point.batch) for point in report.throughput] == [
        ("lanes", 1, 1),
        ("lanes", 16, 1),
        ("batch", 1, 1),
        ("batch", 1, 3),
    ]
    assert report.throughput[0].frames_per_second > 0 and "usable core" in str(report.throughput[1].skipped)
    stages = report.stages
    assert list(stages) == ["pre", "infer", "post"]
    assert stages["infer"].p50_ms <= report.back_to_back.end_to_end.max_ms
    assert report.roofline.operations == 2 * 3 * 32 * 32
    assert report.roofline.infer_p50_ms == stages["infer"].p50_ms


def test_a_video_at_its_own_rate(
    bench: Call, numbered_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'edgeseg[bench]'")
    plot = tmp_path / "bench.svg"
    assert bench("--source", numbered_clip, "--lanes", "none", "--batch", "none", "--plot", plot) == 0
    printed = capsys.readouterr()
    assert "numbered.mp4, 40 frames of 128x64" in printed.out
    assert "25 Hz, budget 40.0" in printed.out and "60 Hz" not in printed.out
    assert "Throughput" not in printed.out and "say nothing about a GPU" in printed.out
    assert "wrote" in printed.out and plot.stat().st_size > 5000
    assert "back to back" in printed.err


def test_a_model_runs_as_it_is(bench: Call, tiny_onnx: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        bench("--rate", "none", "--lanes", "none", "--batch", "none", "--threads", 1, "--json", engine=tiny_onnx) == 0
    )
    report = BenchReport.from_json(capsys.readouterr().out)
    assert (report.settings.threads, report.paced, report.throughput) == (1, (), ())


def test_a_baseline(bench: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ("--rate", "none", "--lanes", "none", "--batch", "none")
    first = tmp_path / "first.json"
    assert bench(*few, "--out", first) == 0
    former = BenchReport.read(first)

    def against(factor: float, **changes: Any) -> int:
        times = former.back_to_back.end_to_end
        scaled = {name: factor * value for name, value in times.model_dump().items()}
        series = former.back_to_back.model_copy(update={"end_to_end": times.model_copy(update=scaled), "stable": True})
        former.model_copy(update={"back_to_back": series, **changes}).write(tmp_path / "baseline.json")
        return bench(*few, "--baseline", tmp_path / "baseline.json", "--out", tmp_path / "second.json")

    assert against(1e-6) == 3
    assert "FAILED against the baseline" in capsys.readouterr().out
    assert BenchReport.read(tmp_path / "second.json").comparison.passed is False
    against(1e6)
    second = BenchReport.read(tmp_path / "second.json")
    assert second.comparison.passed is (True if second.back_to_back.stable else "undecided")
    assert against(1.0, machine="another machine") == 6
    assert "another machine" in capsys.readouterr().err


def test_a_batch_beyond_the_engines_is_skipped(bench: Call, tiny_engine: Path, capsys) -> None:
    passport = EngineArtifact.read(passport_path(tiny_engine))
    fixed = passport.inputs[0].model_copy(update={"shape": (2, 32, 32, 3)})
    passport.model_copy(update={"inputs": (fixed,)}).write(passport_path(tiny_engine))
    assert bench("--rate", "none", "--lanes", "none", "--batch", "2,4") == 0
    assert "not measured: batch 4: the engine was built for batches of at most 2" in capsys.readouterr().out


def test_what_cannot_be_is_refused_before_anything_is_measured(
    bench: Call, tmp_path: Path, tiny_engine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    assert bench("--rate", "fast") == 2
    assert bench("--size", "big") == 2
    assert bench("--seconds", "0") == 2
    assert bench("--plot", place / "plot.txt") == 2
    assert bench("--out", tiny_engine / "bench.json") == 5
    assert bench("--out", tiny_engine) == 2
    assert bench("--baseline", tiny_engine) == 5
    assert bench("--source", tmp_path / "none.mp4", "--out", place / "bench.json") == 5
    assert bench(engine=tmp_path / "none.engine") == 5
    capsys.readouterr()
    tiny_engine.write_bytes(tiny_engine.read_bytes() + b"x")
    assert bench("--out", place / "bench.json", "--json") == 6
    assert json.loads(capsys.readouterr().out)["exit_code"] == 6
    assert list(place.iterdir()) == []


def test_the_command_itself_imports_nothing_heavy() -> None:
    code = "import sys, edgeseg.cli.bench; print({'cv2', 'onnx', 'matplotlib', 'numpy', 'pynvml'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
