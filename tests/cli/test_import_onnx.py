"""A network of others on the whole path, as a user types it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.cli import run
from edgeseg.images import write_png


def typed(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any], str]:
    code = run([*map(str, arguments), "--json"])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, json.loads(captured.out), captured.err


@pytest.fixture
def net(foreign_network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("net.onnx").write_bytes(foreign_network(opset=13).proto().SerializeToString())
    return Path("net.onnx")


@pytest.fixture
def labelled(net: Path, tmp_path: Path) -> Path:
    """Pictures with masks that the network itself drew, so that it is right about them."""
    from edgeseg.export.foreign.foreign_options import ImportOptions
    from edgeseg.export.foreign.importing import import_onnx
    from edgeseg.runtime.engine.one_frame import segment
    from edgeseg.runtime.opener.engine_from_file import open_engine

    import_onnx(net, tmp_path / "teacher.onnx", ImportOptions())
    teacher, rng = open_engine(tmp_path / "teacher.onnx"), np.random.default_rng(2)
    root = tmp_path / "labelled"
    for split in ("train", "validation", "test"):
        for index in range(8):
            picture = np.kron(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
            write_png(root / split / "images" / f"{index}.png", picture)
            write_png(root / split / "masks" / f"{index}.png", segment(teacher, picture))
    return root


def test_from_a_foreign_file_to_a_verdict(labelled: Path, net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, document, _ = typed(capsys, "import-onnx", net, "--out", "model.onnx", "--data", labelled)
    assert code == 0 and document["out"] == "model.onnx"
    assert document["model"]["classes"] == ["polyp"]
    assert document["preprocess"]["mean"] == [0, 0, 0]
    assert document["provenance"]["metrics"]["max_probability_difference"] <= 1e-4
    assert document["provenance"]["metrics"]["parity_inputs"] == 8
    assert "opset 13 became 20" in document["changes"]
    assert typed(capsys, "inspect", "model.onnx")[0] == 0
    assert typed(capsys, "calibrate", "model.onnx", "--data", labelled, "--out", "t.json")[0] == 0
    code, built, _ = typed(
        capsys, "build-engine", "model.onnx", "--precision", "int8", "--calibration", "t.json", "--out", "m.engine"
    )
    assert (code, built["int8_convolutions"]) == (0, 2)
    code, figures, _ = typed(capsys, "evaluate", "m.engine", labelled, "--split", "test")
    assert code == 0 and figures["mean_dice"] > 0.9
    code, verdict, _ = typed(
        capsys, "verify", "m.engine", "--reference", "model.onnx", "--data", labelled, "--max-dice-drop", "0.1"
    )
    assert (code, verdict["passed"]) == (0, True)
    code, _, _ = typed(capsys, "run", "m.engine", labelled / "test" / "images", "--masks", "masks")
    assert code == 0 and len(list(Path("masks").iterdir())) == 8


def test_what_a_person_reads(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225", "--bgr", "--class-name", "lesion"]
    assert run(["import-onnx", str(net), "--out", "model.onnx", *arguments]) == 0
    text = capsys.readouterr().out
    assert "model.onnx: probabilities within" in text
    assert "2 of 2 BatchNormalization folded" in text
    assert "next: edgeseg calibrate model.onnx" in text


def test_a_warning_is_on_stderr(foreign_network: Any, net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net.write_bytes(foreign_network(activation="Sigmoid").proto().SerializeToString())
    code, document, errors = typed(capsys, "import-onnx", net, "--out", "model.onnx", "--output", "logits")
    assert code == 0 and len(document["warnings"]) == 1
    assert errors.startswith("warning: every output of net.onnx lies in 0..1")


def test_logits_said_to_be_probabilities_leave_with_5(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, document, _ = typed(capsys, "import-onnx", net, "--out", "new/model.onnx", "--output", "probability")
    assert (code, document["next"]) == (5, "say --output logits")
    assert not Path("new").exists()


@pytest.mark.parametrize(
    "arguments",
    [["--mean", "1,2"], ["--std", "a,b,c"], ["--std", "0,1,1"], ["--scale", "0"], ["--output", "mask"], []],
)
def test_usage_errors(arguments: list[str], net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", "model.onnx"] if arguments else []
    assert run(["import-onnx", str(net), *out, *arguments]) == 2
    assert capsys.readouterr().out == ""
    assert not Path("model.onnx").exists()


def test_a_graph_without_metadata_points_here(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, document, _ = typed(capsys, "build-engine", net)
    assert (code, document["next"]) == (5, "edgeseg import-onnx FILE --out model.onnx")


def test_no_torch_is_needed(net: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['torch'] = None; import edgeseg.cli;"
        "sys.exit(edgeseg.cli.run(['import-onnx', 'net.onnx', '--out', 'model.onnx']))"
    )
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
