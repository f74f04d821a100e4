"""`edgeseg package` for servers: what it takes, what it refuses; tests/export has what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeseg.cli import run

Output = pytest.CaptureFixture[str]


def test_a_repository_and_a_configuration_are_told(tiny_onnx: Path, tmp_path: Path, capsys: Output) -> None:
    words = ["package", str(tiny_onnx), "--triton", str(tmp_path / "t"), "--deepstream", str(tmp_path / "d")]
    assert run([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["triton"]["models"] == ["tiny", "tiny-resize", "tiny-network", "tiny-mask"]
    assert all((tmp_path / "t" / name / "config.pbtxt").is_file() for name in told["triton"]["models"])
    assert Path(told["deepstream"]["config"]).is_file()


def test_a_person_is_told_how_to_start_the_server(tiny_engine: Path, tmp_path: Path, capsys: Output) -> None:
    assert run(["package", str(tiny_engine), "--triton", str(tmp_path / "t")]) == 0
    assert f"next: tritonserver --model-repository {tmp_path / 't'}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ([], 2, "name what to write"),
        (["--triton", "t", "--terms", "any"], 2, "only a RUN takes --terms"),
        (["--triton", "full"], 5, "exists and is not empty"),
    ],
)
def test_what_means_nothing_is_refused(
    options: list[str],
    code: int,
    words: str,
    tiny_onnx: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Output,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert run(["package", str(tiny_onnx), *options]) == code
    assert words in capsys.readouterr().err


def test_a_run_needs_data_a_place_and_terms(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "recipe.toml").touch()
    assert run(["package", str(tmp_path), "--out", str(tmp_path / "p")]) == 2
    assert "needs --data, --terms" in capsys.readouterr().err


def test_an_engine_is_nothing_for_deepstream(tiny_engine: Path, tmp_path: Path, capsys: Output) -> None:
    assert run(["package", str(tiny_engine), "--deepstream", str(tmp_path / "d"), "--json"]) == 5
    assert "float32 planes" in json.loads(capsys.readouterr().out)["expected"]
