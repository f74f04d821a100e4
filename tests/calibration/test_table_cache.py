"""Ranges are measured once for the same pictures, network and method, and never taken from a file that lies."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgeseg.artifacts import CalibrationTable
from edgeseg.calibration import table_cache
from edgeseg.calibration.ranges import calibrate
from edgeseg.calibration.table_cache import calibrate_once
from edgeseg.cli import run
from edgeseg.graph.onnx_files import OnnxArtifact, load_onnx
from edgeseg.images import list_images, write_png

Measured = Callable[..., tuple[CalibrationTable, bool, list[str]]]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, own_cache: Path, small_images: Path) -> Measured:
    """Asks for a table: the table, whether pictures were run for it, and what was said."""
    runs: list[int] = []

    def counted(artifact, images, *others) -> CalibrationTable:
        runs.append(len(images))
        return calibrate(artifact, images, *others)

    monkeypatch.setattr(table_cache, "calibrate", counted)

    def ask(artifact: OnnxArtifact, images: list[Path] | None = None, method: str = "max", data: Path = small_images):
        said: list[str] = []
        runs.clear()
        table = calibrate_once(artifact, images or list_images(data), data, method=method, say=said.append)
        return table, bool(runs), said

    return ask


def kept_files(cache: Path) -> list[Path]:
    return sorted((cache / "calibration").glob("*"))


def test_the_second_time_the_ranges_are_taken_from_the_first(
    measured: Measured, small_artifact: OnnxArtifact, small_images: Path, own_cache: Path
) -> None:
    first, was_run, said = measured(small_artifact)
    assert (first, was_run, said) == (calibrate(small_artifact, list_images(small_images)), True, [])
    [path] = kept_files(own_cache)
    again, was_run, said = measured(small_artifact)
    assert (again, was_run, said) == (first, False, [f"ranges taken from {path}"])


def test_whatever_the_ranges_follow_from_is_in_the_key(
    measured: Measured,
    small_artifact: OnnxArtifact,
    small_images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = list_images(small_images)
    assert measured(small_artifact)[1]
    assert measured(small_artifact, images[:-1])[1]
    assert measured(small_artifact, images[::-1])[1]
    assert measured(small_artifact, method="mse")[1]
    proto = onnx.ModelProto()
    proto.CopyFrom(small_artifact.proto)
    weight = next(tensor for tensor in proto.graph.initializer if len(tensor.dims) == 4)
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * np.float32(2), weight.name))
    (tmp_path / "other.onnx").write_bytes(proto.SerializeToString())
    assert measured(load_onnx(tmp_path / "other.onnx"))[1]
    assert not measured(small_artifact)[1]
    write_png(images[3], np.zeros((8, 8, 3), np.uint8) + np.arange(8, dtype=np.uint8)[:, None, None] * 30)
    assert measured(small_artifact)[1]
    monkeypatch.setattr(table_cache, "sha256_file", lambda path: "other" if path.suffix == ".py" else path.name)
    assert measured(small_artifact)[1]


def doubled(text: str) -> str:
    document = json.loads(text)
    for entry in document["table"]["ranges"].values():
        entry["amax"] *= 2
    return json.dumps(document)


@pytest.mark.parametrize("damage", [lambda text: text[:99], lambda text: "", doubled], ids=["cut", "empty", "doubled"])
def test_a_damaged_file_is_named_and_written_anew(
    damage: Callable[[str], str], measured: Measured, small_artifact: OnnxArtifact, own_cache: Path
) -> None:
    first = measured(small_artifact)[0]
    [path] = kept_files(own_cache)
    path.write_text(damage(path.read_text()))
    table, was_run, said = measured(small_artifact)
    assert (table, was_run) == (first, True)
    assert str(path) in said[0] and "measured anew" in said[0]
    assert not measured(small_artifact)[1]


def test_a_file_of_another_network_is_not_taken(
    measured: Measured, small_artifact: OnnxArtifact, small_images: Path, own_cache: Path
) -> None:
    measured(small_artifact, list_images(small_images)[:3])
    [foreign] = kept_files(own_cache)
    first = measured(small_artifact)[0]
    [path] = [path for path in kept_files(own_cache) if path != foreign]
    path.write_bytes(foreign.read_bytes())
    table, was_run, said = measured(small_artifact)
    assert (table, was_run) == (first, True)
    assert foreign.stem in said[0]


def test_what_was_warned_of_is_warned_of_again(
    measured: Measured, small_artifact: OnnxArtifact, tmp_path: Path
) -> None:
    for index in range(3):
        write_png(tmp_path / "data" / f"{index}.png", np.full((20, 20, 3), 40 * index, np.uint8))
    for _ in range(2):
        _, was_run, said = measured(small_artifact, data=tmp_path / "data")
        assert was_run and "of one colour" in said[0]


def test_a_picture_that_came_into_the_test_split_is_warned_of(
    measured: Measured, small_artifact: OnnxArtifact, small_images: Path, tmp_path: Path
) -> None:
    data = tmp_path / "set"
    (data / "test" / "images").mkdir(parents=True)
    (data / "train").mkdir()
    small_images.rename(data / "train" / "images")
    images = list_images(data / "train" / "images")
    write_png(data / "test" / "images" / "other.png", np.eye(9, dtype=np.uint8)[:, :, None].repeat(3, 2))
    for folder in ("train", "test"):
        for path in list_images(data / folder / "images"):
            write_png(data / folder / "masks" / path.name, np.zeros((9, 9), np.uint8))
    assert measured(small_artifact, images, data=data)[2] == []
    (data / "test" / "images" / "copy.png").write_bytes(images[0].read_bytes())
    _, was_run, said = measured(small_artifact, images, data=data)
    assert not was_run
    assert any("in the test split" in line for line in said)


def test_a_cache_that_cannot_be_written_costs_time_alone(
    measured: Measured, small_artifact: OnnxArtifact, own_cache: Path
) -> None:
    own_cache.parent.write_text("a file where the folder should be")
    for _ in range(2):
        _, was_run, said = measured(small_artifact)
        assert was_run and "not kept" in said[0]


def test_a_build_says_where_its_ranges_come_from(
    own_cache: Path, small_onnx: Path, small_images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small.engine"
    words = ["build-engine", str(small_onnx), "--backend", "onnxruntime", "--precision", "int8", "--keep-int8"]
    words += ["--calibration-data", str(small_images), "--out", str(out)]
    assert run(words) == 0
    engine = out.read_bytes()
    assert "ranges taken from" not in capsys.readouterr().err
    assert run(words) == 0
    assert f"ranges taken from {kept_files(own_cache)[0]}" in capsys.readouterr().err.replace("\n", "")
    assert out.read_bytes() == engine
