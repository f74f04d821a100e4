import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from edgeseg.artifacts import EngineArtifact
from edgeseg.calibration.ranges import calibrate
from edgeseg.errors import BadInputError, MismatchError, MissingComponentError, UsageError
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.files import UnwritableError, sha256_file
from edgeseg.graph.files import load_onnx
from edgeseg.images import list_images
from edgeseg.runtime.loading import open_engine, open_onnx
from edgeseg.runtime.passports import passport_path

FRAMES = np.random.default_rng(8).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)


@pytest.fixture
def small_table(small_onnx: Path, small_images: Path) -> Path:
    path = small_onnx.parent.parent / "table.json"
    calibrate(load_onnx(small_onnx), list_images(small_images)).write(path)
    return path


@pytest.mark.parametrize(("precision", "largest"), [("fp32", 0.0), ("fp16", 5e-3), ("int8", 0.1)])
def test_an_engine_computes_what_its_network_does(
    small_onnx: Path, small_table: Path, tmp_path: Path, precision: str, largest: float
) -> None:
    out = tmp_path / "out" / "small.engine"
    calibration = small_table if precision == "int8" else None
    build_engine(small_onnx, BuildOptions(precision, "onnxruntime", calibration, out=out))
    difference = np.abs(open_engine(out).infer(FRAMES) - open_onnx(small_onnx).infer(FRAMES)).max()
    assert difference <= largest
    assert (difference > 0) == (precision != "fp32")
    assert sorted(path.name for path in out.parent.iterdir()) == ["small.engine", "small.engine.json"]


def test_the_passport_describes_the_engine(small_onnx: Path, small_table: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.engine"
    result = build_engine(small_onnx, BuildOptions("int8", "auto", small_table, out=out))
    passport = EngineArtifact.read(passport_path(out))
    assert passport == result.passport
    assert passport.engine_sha256 == sha256_file(out)
    assert passport.engine_bytes == out.stat().st_size
    assert (passport.convolutions, passport.int8_convolutions) == (5, 3)
    assert passport.onnx_sha256 == sha256_file(small_onnx)
    assert passport.inputs[0].shape == (-1, 16, 16, 3)
    assert passport.binding.gpu is None
    assert shlex.split(passport.rebuild)[:3] == ["edgeseg", "build-engine", str(small_onnx)]


def test_the_same_build_gives_the_same_bytes(small_onnx: Path, small_table: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        build_engine(small_onnx, BuildOptions("int8", "onnxruntime", small_table, out=tmp_path / name))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_int8_without_ranges_is_refused_and_leaves_nothing(small_onnx: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError) as caught:
        build_engine(small_onnx, BuildOptions("int8", out=tmp_path / "new" / "x.engine"))
    assert "edgeseg calibrate" in (caught.value.next_command or "")
    assert not (tmp_path / "new").exists()


def test_images_can_stand_in_for_a_table(
    small_onnx: Path, small_images: Path, small_table: Path, tmp_path: Path
) -> None:
    from_images = build_engine(
        small_onnx, BuildOptions("int8", calibration_data=small_images, out=tmp_path / "a.engine")
    )
    from_table = build_engine(small_onnx, BuildOptions("int8", calibration=small_table, out=tmp_path / "b.engine"))
    assert from_images.passport.engine_sha256 == from_table.passport.engine_sha256
    with pytest.raises(UsageError):
        build_engine(small_onnx, BuildOptions("int8", calibration=small_table, calibration_data=small_images))


def test_a_table_beside_the_onnx_is_taken(small_onnx: Path, small_table: Path, tmp_path: Path) -> None:
    small_onnx.with_suffix(".calibration.json").write_bytes(small_table.read_bytes())
    result = build_engine(small_onnx, BuildOptions("int8", out=tmp_path / "x.engine"))
    assert result.passport.int8_convolutions == 3


def test_a_table_of_another_network_is_a_mismatch(small_onnx: Path, small_table: Path, tmp_path: Path) -> None:
    document = json.loads(small_table.read_text())
    small_table.write_text(json.dumps({**document, "weights_sha256": "0" * 64}))
    with pytest.raises(MismatchError):
        build_engine(small_onnx, BuildOptions("int8", calibration=small_table, out=tmp_path / "x.engine"))


def test_tensorrt_is_a_missing_component(small_onnx: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingComponentError) as caught:
        build_engine(small_onnx, BuildOptions("fp16", "tensorrt", out=tmp_path / "x.engine"))
    assert caught.value.exit_code == 4
    assert caught.value.next_command


def test_an_unwritable_place_is_refused_before_building(small_onnx: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UnwritableError):
        build_engine(small_onnx, BuildOptions("fp32", out=tmp_path / "file" / "x.engine"))


def test_a_changed_engine_is_not_opened(small_onnx: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.engine"
    build_engine(small_onnx, BuildOptions("fp32", out=out))
    data = bytearray(out.read_bytes())
    data[len(data) // 2] ^= 1
    out.write_bytes(data)
    with pytest.raises(MismatchError) as caught:
        open_engine(out)
    assert (caught.value.next_command or "").startswith("edgeseg build-engine")
    passport_path(out).unlink()
    with pytest.raises(MismatchError, match="no passport"):
        open_engine(out)
