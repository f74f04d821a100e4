"""`edgeseg package` for servers: what it takes, what it refuses; tests/export has what it writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fuzz import corpus
from edgeseg.artifacts import EngineArtifact, Verdict
from edgeseg.cli import run
from edgeseg.images import write_png
from tests.conftest import small_network

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
        (["--triton", "t", "--terms", "any"], 2, "work with a RUN only: --terms"),
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


def a_verdict() -> str:
    return json.dumps({**json.loads(corpus.value_json(Verdict)), "engine_sha256": "0" * 64})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of a network that INT8 can be built of, with its terms, and the images of its table beside it."""
    root = tmp_path_factory.mktemp("made")
    package, images = root / "small", root / "images"
    package.mkdir()
    (package / "model.onnx").write_bytes(small_network())
    (package / "card.md").write_text("# small\n")
    (package / "LICENSE.md").write_text("Any use.\n")
    for seed in range(3):
        write_png(images / f"{seed}.png", np.random.default_rng(seed).integers(0, 256, (24, 20, 3), dtype=np.uint8))
    table = str(package / "model.calibration.json")
    assert run(["calibrate", str(package), "--data", str(images), "--out", table]) == 0
    return root


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "small", tmp_path / "models" / "small"))


@pytest.fixture
def archive(folder: Path, tmp_path: Path) -> Path:
    assert run(["package", str(folder), "--out", str(tmp_path / "file.edgeseg")]) == 0
    return tmp_path / "file.edgeseg"


def test_commands_take_one_file_as_they_take_the_folder(
    archive: Path, folder: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.chdir(tmp_path)
    before, images = archive.read_bytes(), str(made / "images")
    for model, out in ((archive, "a"), (folder, "b")):
        build = ["build-engine", str(model), "--precision", "int8", "--backend", "onnxruntime", "--keep-int8"]
        assert run([*build, "--out", f"{out}.engine"]) == 0
        assert run(["run", str(model), images, "--masks", f"{out}-masks"]) == 0
    assert Path("a.engine").read_bytes() == Path("b.engine").read_bytes()
    for mask in Path("a-masks").iterdir():
        assert mask.read_bytes() == (Path("b-masks") / mask.name).read_bytes()
    assert EngineArtifact.read(Path("a.engine.json")).build.model == str(archive), "a rebuild finds it again"
    assert run(["calibrate", str(archive), "--data", images, "--out", "a.json"]) == 0
    assert Path("a.json").read_bytes() == (folder / "model.calibration.json").read_bytes()
    assert run(["inspect", str(archive)]) == 0
    assert run(["live", str(archive), "synthetic:64x48", "--max-frames", "2"]) == 0
    assert run(["package", str(archive), "--triton", "triton"]) == 0
    assert archive.read_bytes() == before, "reading leaves it as it is"


def test_proofs_take_one_file(tiny_onnx: Path, blob_data: Path, tmp_path: Path, capsys: Output) -> None:
    package = tmp_path / "models" / "tiny"
    package.mkdir(parents=True)
    shutil.copy(tiny_onnx, package / "model.onnx")
    (package / "card.md").write_text("# tiny\n")
    (tmp_path / "terms").write_text("Any use.\n")
    path, engine = str(tmp_path / "tiny.edgeseg"), str(tmp_path / "tiny.engine")
    assert run(["package", str(package), "--out", path, "--licence", str(tmp_path / "terms")]) == 0
    capsys.readouterr()
    dice = []
    for model in (path, str(package)):
        assert run(["evaluate", model, str(blob_data), "--json"]) == 0
        dice.append(json.loads(capsys.readouterr().out)["mean_dice"])
    assert dice[0] == dice[1]
    assert run(["build-engine", path, "--precision", "fp32", "--backend", "onnxruntime", "--out", engine]) == 0
    words = ["verify", engine, "--reference", path, "--data", str(blob_data), "--json"]
    capsys.readouterr()
    assert run(words) in (0, 3)
    assert json.loads(capsys.readouterr().out)["mean_dice_drop"] == 0


def test_two_packings_are_the_same_bytes(archive: Path, folder: Path, tmp_path: Path) -> None:
    (folder / "card.md").touch()
    (folder / "notes.txt").write_text("not a part of a package")
    assert run(["package", str(folder), "--out", str(tmp_path / "again.edgeseg")]) == 0
    assert (tmp_path / "again.edgeseg").read_bytes() == archive.read_bytes()


def test_a_verdict_comes_along_and_is_read_out_of_it(folder: Path, tmp_path: Path, capsys: Output) -> None:
    verdict = tmp_path / "verdict.json"
    verdict.write_text(a_verdict())
    out = tmp_path / "file.edgeseg"
    assert run(["package", str(folder), "--out", str(out), "--verdict", str(verdict)]) == 0
    assert run(["inspect", str(out / "verdict.json")]) == 0
    assert "Verdict" in capsys.readouterr().out
    again = ["package", str(folder), "--out", str(out), "--verdict", str(verdict), "--verdict", str(verdict)]
    assert run(again) == 2 and "two files would be called verdict.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "options", "code", "words"),
    [
        ("LICENSE.md", [], 5, "add --licence FILE"),
        ("card.md", [], 5, "has no card"),
        ("", ["--licence", "nowhere"], 5, "cannot read nowhere"),
        ("", ["--verdict", "models/small/card.md"], 5, "is no JSON"),
        ("", ["--out", "file.zip"], 5, "is no name for a model package in one file"),
        ("", ["--verdict", "manifest.json"], 2, "two files would be called manifest.json"),
        ("", ["--verdict", "my verdict.json"], 2, "is no name for a model or a file in a package"),
        ("", ["--verdict", "tiny.engine.json"], 5, "is no verdict"),
        ("", ["--seeds", "x"], 2, "work with a RUN only: --seeds"),
    ],
)
def test_what_makes_no_archive_is_refused(
    spoil: str,
    options: list[str],
    code: int,
    words: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Output,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("manifest.json", "my verdict.json"):
        Path(name).write_text(a_verdict())
    Path("tiny.engine.json").write_bytes(corpus.passport(b"").to_json().encode())
    if spoil:
        (folder / spoil).unlink()
    out = [] if "--out" in options else ["--out", "file.edgeseg"]
    assert run(["package", str(folder), *out, *options]) == code
    assert words in capsys.readouterr().err
    assert not Path("file.edgeseg").exists()


def test_a_table_of_other_weights_is_not_packed(folder: Path, tiny_onnx: Path, tmp_path: Path, capsys: Output) -> None:
    shutil.copy(tiny_onnx, folder / "model.onnx")
    assert run(["package", str(folder), "--out", str(tmp_path / "file.edgeseg")]) == 6


def test_terms_and_verdicts_are_for_one_file_alone(tiny_onnx: Path, tmp_path: Path, capsys: Output) -> None:
    assert run(["package", str(tiny_onnx), "--triton", str(tmp_path / "t"), "--verdict", "x"]) == 2
    assert "work with --out NAME.edgeseg only: --verdict" in capsys.readouterr().err
