"""The commands of the path, one after the other, as a user types them; and what each says to bad input."""

import json
from pathlib import Path

import pytest

from edgeseg.cli import run


def typed(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, object]]:
    code = run([*map(str, arguments), "--json"])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, json.loads(captured.out)


def test_from_onnx_to_an_inspected_int8_engine(
    small_onnx: Path,
    small_images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, table = typed(capsys, "calibrate", small_onnx, "--data", small_images, "--images", 5, "--out", "t.json")
    assert (code, table["image_count"], table["method"]) == (0, 5, "max")
    code, built = typed(capsys, "build-engine", small_onnx, "--precision", "int8", "--calibration", "t.json")
    assert (code, built["engine"]) == (0, "small.int8.engine")
    assert (built["int8_convolutions"], built["convolutions"], built["backend"]) == (3, 5, "onnxruntime")
    code, seen = typed(capsys, "inspect", "small.int8.engine")
    assert (code, seen["precision"], seen["engine_sha256"]) == (0, "int8", built["engine_sha256"])
    for document, kind in (("t.json", "CalibrationTable"), ("small.int8.engine.json", "EngineArtifact")):
        assert typed(capsys, "inspect", document)[1]["kind"] == kind
    assert typed(capsys, "inspect", small_onnx)[1]["model"]["architecture"] == "small"  # type: ignore[index]


def test_inspect_is_readable_without_json(small_onnx: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(small_onnx)]) == 0
    text = capsys.readouterr().out
    assert "ONNX contract graph" in text
    assert "16x16" in text


def test_inspect_shows_what_a_choice_of_a_threshold_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from edgeseg.threshold import ThresholdChoice, ThresholdPoint

    points = (ThresholdPoint(threshold=0.7, mean_dice=0.123456789, false_alarm_share=None),)
    ThresholdChoice(
        threshold=0.7,
        meets_limit=True,
        max_false_alarms=None,
        false_mask_share=None,
        points=points,
        model_sha256="a" * 64,
        data_sha256="b" * 64,
        negatives_sha256=None,
    ).write(tmp_path / "threshold.json")
    assert run(["inspect", str(tmp_path / "threshold.json")]) == 0
    text = capsys.readouterr().out
    assert "ThresholdChoice" in text and " 0.7\n" in text


def test_train_export_and_evaluate_through_the_commands(
    blob_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="training needs the extra `train`")
    settings = ["model.height=32", "model.width=32", "model.base_width=4", "model.depth=2", "training.epochs=1"]
    flags = [word for setting in settings for word in ("--set", setting)]
    code, record = typed(capsys, "train", blob_data, "--out", tmp_path / "run", *flags)
    assert (code, record["finished"], record["epochs"]) == (0, True, 1)
    code, exported = typed(capsys, "export", tmp_path / "run", "--data", blob_data, "--out", tmp_path / "m.onnx")
    assert code == 0
    assert exported["provenance"]["metrics"]["max_probability_difference"] <= 1e-4  # type: ignore[index]
    figures = {
        model: typed(capsys, "evaluate", tmp_path / model, blob_data, "--split", "test")[1]["mean_dice"]
        for model in ("run", "m.onnx")
    }
    assert figures["run"] == pytest.approx(figures["m.onnx"], abs=2e-3)
    assert typed(capsys, "inspect", tmp_path / "run")[1]["epochs"] == 1
    code, again = typed(capsys, "train", blob_data, "--out", tmp_path / "run", "--resume")
    assert (code, again["epochs"]) == (0, 1)


BAD_MODELS = {
    "missing": None,
    "empty": b"",
    "junk": b"this is no network at all" * 40,
    "text": b'{"a": 1}',
}


@pytest.mark.parametrize("kind", BAD_MODELS)
@pytest.mark.parametrize("command", ["calibrate", "build-engine", "inspect", "evaluate"])
def test_a_model_that_is_none(
    kind: str, command: str, small_images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = tmp_path / "m.onnx", tmp_path / "out" / "x"
    content = BAD_MODELS[kind]
    if content is not None:
        model.write_bytes(content)
    words = {
        "calibrate": ["calibrate", model, "--data", small_images, "--out", out],
        "build-engine": ["build-engine", model, "--out", out],
        "inspect": ["inspect", model],
        "evaluate": ["evaluate", model, small_images],
    }
    code, document = typed(capsys, *words[command])
    assert code == 5
    assert document["exit_code"] == 5
    assert not out.parent.exists()


@pytest.mark.parametrize("data", ["missing", "empty", "truncated"])
def test_calibration_images_that_are_none(
    data: str, small_onnx: Path, small_images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / data
    if data == "empty":
        folder.mkdir()
    if data == "truncated":
        folder = small_images
        victim = sorted(folder.iterdir())[7]
        victim.write_bytes(victim.read_bytes()[:-40])
    code, document = typed(capsys, "calibrate", small_onnx, "--data", folder, "--out", tmp_path / "out" / "t.json")
    assert code == 5
    assert str(victim if data == "truncated" else folder) in str(document["what"])
    assert not (tmp_path / "out").exists()


def test_training_data_without_masks(small_images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="training needs the extra `train`")
    code, document = typed(capsys, "train", small_images, "--out", tmp_path / "run")
    assert code == 5
    assert "images" in str(document["what"])
    assert not (tmp_path / "run").exists()


def test_int8_without_ranges(small_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = typed(capsys, "build-engine", small_onnx, "--precision", "int8", "--out", tmp_path / "x.engine")
    assert code == 5
    assert "edgeseg calibrate" in str(document["next"])
    assert not (tmp_path / "x.engine").exists()


def test_tensorrt_that_is_not_there(small_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = typed(capsys, "build-engine", small_onnx, "--backend", "tensorrt", "--out", tmp_path / "x.engine")
    assert code == 4
    assert document["next"]


def test_an_output_that_cannot_be_written(small_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("x")
    code, _ = typed(capsys, "build-engine", small_onnx, "--precision", "fp32", "--out", tmp_path / "file" / "x.engine")
    assert code == 5


@pytest.mark.parametrize(
    "command", [("calibrate",), ("build-engine",), ("build-engine", "--write-plan"), ("import-onnx",)]
)
def test_a_model_is_never_replaced_by_what_is_made_from_it(
    small_onnx: Path, small_images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(small_onnx.read_bytes())
    name, flag = command[0], command[-1] if len(command) > 1 else "--out"
    data = ("--data", small_images) if name == "calibrate" else ()
    code, document = typed(capsys, name, model, *data, flag, tmp_path / "." / "model.onnx")
    assert (code, document["found"]) == (2, "an output that is an input")
    assert model.read_bytes() == small_onnx.read_bytes()


def test_an_engine_that_was_tampered_with(small_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = tmp_path / "x.engine"
    typed(capsys, "build-engine", small_onnx, "--precision", "fp32", "--out", engine)
    engine.write_bytes(engine.read_bytes() + b"\0")
    assert typed(capsys, "inspect", engine)[0] == 6
    assert typed(capsys, "evaluate", engine, tmp_path)[0] in (5, 6)
