import json
from pathlib import Path

import numpy as np
import pytest

from edgeseg.cli import run
from edgeseg.images import write_png


@pytest.fixture
def bright_rows(tmp_path: Path) -> Path:
    """Two images with 8 bright rows of 32; the second mask marks 16."""
    for index, rows in enumerate((8, 16)):
        frame, mask = np.full((32, 32, 3), 20, np.uint8), np.zeros((32, 32), np.uint8)
        frame[:8], mask[:rows] = 230, 255
        write_png(tmp_path / "data" / "test" / "images" / f"{index}.png", frame)
        write_png(tmp_path / "data" / "test" / "masks" / f"{index}.png", mask)
    return tmp_path / "data"


@pytest.mark.parametrize("model", ["tiny_onnx", "tiny_engine"])
def test_json_is_all_there_is_on_stdout(model, bright_rows, request, capsys) -> None:
    path = request.getfixturevalue(model)
    assert run(["evaluate", str(path), str(bright_rows), "--json"]) == 0
    evaluation = json.loads(capsys.readouterr().out)
    assert evaluation["mean_dice"] == pytest.approx((1 + 2 * 8 / 24) / 2)
    assert evaluation["mean_iou"] == pytest.approx((1 + 1 / 2) / 2)
    assert [row["name"] for row in evaluation["per_image"]] == ["0", "1"]


def test_a_person_reads_the_means(tiny_onnx, bright_rows, capsys) -> None:
    assert run(["evaluate", str(tiny_onnx), str(bright_rows)]) == 0
    assert "mean Dice 0.8333, mean IoU 0.7500, 2 images" in capsys.readouterr().out


def test_a_model_package(tiny_onnx, bright_rows, tmp_path, capsys) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "model.onnx").write_bytes(tiny_onnx.read_bytes())
    assert run(["evaluate", str(package), str(bright_rows)]) == 0


@pytest.mark.parametrize("arguments", [["--split", "train"], ["--split", "nonsense"]])
def test_a_split_that_is_not_there(tiny_onnx, bright_rows, capsys, arguments) -> None:
    assert run(["evaluate", str(tiny_onnx), str(bright_rows), "--json", *arguments]) == 5
    assert json.loads(capsys.readouterr().out)["exit_code"] == 5


def test_images_without_masks(tiny_onnx, bright_rows, capsys) -> None:
    (bright_rows / "test" / "masks" / "1.png").unlink()
    assert run(["evaluate", str(tiny_onnx), str(bright_rows)]) == 5


def test_a_model_that_is_not_there(bright_rows, tmp_path, capsys) -> None:
    assert run(["evaluate", str(tmp_path / "none.onnx"), str(bright_rows)]) == 5
