"""`edgeseg train --qat`, `export`, `calibrate`, `build-engine`, `inspect`: one after the other, as they are typed."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgeseg.artifacts import CalibrationTable
from edgeseg.cli import run
from edgeseg.export.builders.builder import tell_other_target
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.train.recipe import read_recipe
from edgeseg.train.training import train


def typed(capfd: pytest.CaptureFixture[str], *words: object) -> tuple[int, Any, str]:
    """Exit code, the JSON document where it succeeded, and what was said."""
    capfd.readouterr()
    code = run([*map(str, words), "--json"])
    out, said = capfd.readouterr()
    return code, json.loads(out) if code == 0 else None, said + out


def test_the_whole_way(
    blobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ("model.height=32", "model.width=32", "model.base_width=4", "model.depth=1", "training.epochs=1")
    train(blobs, Path("run"), read_recipe(None, small))
    code, record, _ = typed(capfd, "train", blobs, "--out", "qat", "--qat", "run", "--set", "training.epochs=1")
    assert code == 0
    assert len(record["qat_sha256"]) == 64
    code, again, _ = typed(capfd, "train", blobs, "--out", "qat", "--qat", "run", "--resume")
    assert (code, again["qat_sha256"]) == (0, record["qat_sha256"])
    assert typed(capfd, "train", blobs, "--out", "qat", "--resume")[0] == 6
    code, exported, _ = typed(capfd, "export", "qat", "--out", "model.onnx")
    assert (code, exported["trained_ranges"]["source_sha256"]) == (0, record["qat_sha256"])
    code, table, _ = typed(capfd, "calibrate", "model.onnx", "--data", blobs, "--out", "table.json")
    assert (code, table["trained"]) == (0, len(exported["trained_ranges"]["ranges"]))
    assert CalibrationTable.read(Path("table.json")).trained == table["trained"]
    build = ("build-engine", "model.onnx", "--precision", "int8", "--calibration", "table.json", "--keep-int8")
    code, passport, said = typed(capfd, *build, "--backend", "onnxruntime")
    assert (code, passport["int8_convolutions"]) == (0, passport["convolutions"] - 2)
    assert "was trained for" not in said
    assert "quantisation-aware training for cpu" in _text(capfd, "inspect", "model.onnx")
    heard: list[str] = []
    tell_other_target(load_onnx(Path("model.onnx")), "tensorrt", heard.append)
    assert "trained for the INT8 graph of cpu, and this one is for tensorrt" in heard[0]


def _text(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    capfd.readouterr()
    assert run(list(words)) == 0
    return capfd.readouterr().out


def test_what_cannot_be_trained_on_is_refused(blobs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, _, said = typed(capfd, "train", blobs, "--out", tmp_path / "qat", "--qat", tmp_path / "nothing")
    assert code == 5
    assert "is no RUN folder" in said and "edgeseg train DATA --out" in said
    code, _, said = typed(capfd, "train", blobs, "--out", tmp_path / "qat", "--qat", tmp_path, "--find-lr")
    assert code == 2
    assert "--qat" in said
    assert not (tmp_path / "qat").exists()


def test_a_run_does_not_choose_what_code_is_imported(
    blobs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "recipe.toml").write_text('[model]\narchitecture = "python:theirs:network"\n')
    code, _, said = typed(capfd, "train", blobs, "--out", tmp_path / "qat", "--qat", stranger)
    assert code == 5
    assert "--trust python:theirs:network" in said
