"""A package that is installed beside edgeseg adds a backend: every command takes it, and nothing of edgeseg changes."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeseg.artifacts import EngineArtifact, LatencyReport, Verdict
from edgeseg.files import sha256_bytes

ROOT = Path(__file__).parents[3]
TOY = Path(__file__).parent / "toy" / "toy_backend.py"
Toy = Callable[..., tuple[int, Any]]


def install(site: Path, module: str, name: str = "toy") -> None:
    """Lay a package out as pip does: a module, and the metadata that names its backend."""
    shutil.copy(TOY, site / "toy_backend.py")
    info = site / "toy-7.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 7.1\n")
    (info / "entry_points.txt").write_text(f"[edgeseg.backends]\n{name} = {module}:BACKEND\n")


def commands(site: Path) -> Toy:
    """Runs a command in a process that finds the package; gives its exit code and its output, as JSON where it is."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}

    def run(*words: object) -> tuple[int, Any]:
        command = [sys.executable, "-m", "edgeseg.cli", *map(str, words)]
        done = subprocess.run(command, env=environment, cwd=site, capture_output=True, text=True)
        assert "Traceback" not in done.stderr
        return done.returncode, json.loads(done.stdout) if "--json" in words else done.stdout + done.stderr

    return run


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    site = tmp_path / "site"
    site.mkdir()
    install(site, "toy_backend")
    return commands(site)


@pytest.fixture
def engine(toy: Toy, tiny_onnx: Path, tmp_path: Path) -> Path:
    out = tmp_path / "tiny.engine"
    code, document = toy("build-engine", tiny_onnx, "--backend", "toy", "--precision", "fp32", "--out", out, "--json")
    assert (code, document["backend"], document["backend_version"]) == (0, "toy", "7.1")
    return out


def test_it_runs_video(toy: Toy, engine: Path, tiny_onnx: Path, numbered_clip: Path, tmp_path: Path) -> None:
    for name, model in (("toy", engine), ("reference", tiny_onnx)):
        outputs = ("--masks", tmp_path / name, "--latency", tmp_path / f"{name}.json", "--max-frames", 3)
        assert toy("run", model, numbered_clip, *outputs)[0] == 0
    assert LatencyReport.read(tmp_path / "toy.json").backend == "toy"
    masks, expected = sorted((tmp_path / "toy").iterdir()), sorted((tmp_path / "reference").iterdir())
    assert [path.read_bytes() for path in masks] == [path.read_bytes() for path in expected] and len(masks) == 3


def test_it_is_verified(toy: Toy, engine: Path, tiny_onnx: Path, tmp_path: Path) -> None:
    data, report = tmp_path / "data", tmp_path / "report"
    assert toy("data", "synth", "--out", data, "--train", 1, "--validation", 1, "--test", 3)[0] == 0
    code, _ = toy("verify", engine, "--reference", tiny_onnx, "--data", data, "--report", report)
    verdict = Verdict.read(report / "verdict.json")
    assert code in (0, 3)  # three images may prove nothing
    assert (verdict.backend, verdict.image_count) == ("toy", 3)
    assert verdict.mean_agreement > 0.999


def test_it_is_inspected_and_benched(toy: Toy, engine: Path, tmp_path: Path) -> None:
    assert "toy 7.1" in toy("inspect", engine)[1]
    assert "dot" in toy("inspect", engine, "--layers")[1]
    little = ("--seconds", 0.2, "--lanes", 1, "--batch", "none", "--rate", 50)
    code, report = toy("bench", engine, *little, "--out", tmp_path / "b.json", "--json")
    assert (code, report["backend"], report["backend_version"]) == (0, "toy", "7.1")


def test_what_is_no_engine_of_it_is_refused_and_one_without_it_still_described(toy: Toy, engine: Path) -> None:
    alone = commands(engine.parent)
    assert "toy 7.1" in alone("inspect", engine)[1]
    code, said = alone("bench", engine, "--seconds", 1)
    assert code == 5 and "there is no backend toy here" in said and "onnxruntime, openvino, tensorrt" in said
    engine.write_bytes(b"no toy")
    path = engine.with_name("tiny.engine.json")
    passport = EngineArtifact.read(path)
    passport.model_copy(update={"engine_sha256": sha256_bytes(b"no toy")}).write(path)
    code, said = toy("inspect", engine)
    assert code == 5 and "is no toy" in said


def test_the_commands_name_it(toy: Toy, tiny_onnx: Path) -> None:
    said = "".join(toy("build-engine", "--help")[1].split())
    assert "toy" in said
    code, said = toy("build-engine", tiny_onnx, "--backend", "tin")
    assert code == 2 and "'toy'" in said
    code, report = toy("doctor", "--backend", "toy", "--json")
    assert code == 0
    (state,) = (state for state in report["backends"] if state["name"] == "toy")
    assert state["builds"] and state["runs"]
    (check,) = (check for check in report["checks"] if check["name"] == "toy")
    assert (check["part"], check["status"], check["found"]) == ("backend", "ok", "7.1")


@pytest.mark.parametrize(("module", "name"), [("no_such_module", "toy"), ("toy_backend", "tin")])
def test_a_package_that_does_not_load_breaks_nothing_else(
    module: str, name: str, tiny_onnx: Path, tmp_path: Path
) -> None:
    install(tmp_path, module, name)
    broken = commands(tmp_path)
    code, said = broken("build-engine", tiny_onnx, "--backend", name, "--out", tmp_path / "x.engine")
    assert code == 4 and f"the package that adds the backend {name}" in said
    code, report = broken("doctor", "--json")
    (state,) = (state for state in report["backends"] if state["name"] == name)
    assert not state["builds"] and module in state["reason"]
    assert report["base_works"]
