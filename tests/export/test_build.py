import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.artifacts import Binding, EngineArtifact, PrecisionPlan
from edgeseg.calibration.ranges import calibrate
from edgeseg.errors import BadInputError, MismatchError, MissingComponentError, UsageError
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.export.builders import int8_gain
from edgeseg.export.rebuild import rebuild_engine
from edgeseg.files import UnwritableError, sha256_file
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.images import list_images
from edgeseg.runtime.engine.time_ratio import TimeRatio
from edgeseg.runtime.onnxruntime import int8_kernels, onnxruntime_session
from edgeseg.runtime.onnxruntime.int8_kernels import KernelReport
from edgeseg.runtime.onnxruntime.onnxruntime_session import session_options
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.passport.passports import passport_path

pytestmark = pytest.mark.usefixtures("own_cache")
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
    difference = np.abs(open_engine(out).infer(FRAMES) - open_engine(small_onnx).infer(FRAMES)).max()
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


@pytest.fixture
def slow_int8(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that takes 1.2 times float32's time for INT8, and 4 ms for float32."""
    monkeypatch.setattr(int8_gain, "time_ratio", lambda int8, float32: TimeRatio(1.2, 4.8, 4.0))


@pytest.mark.usefixtures("slow_int8")
def test_float32_is_built_where_int8_gains_nothing(small_onnx: Path, small_table: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.int8.engine"
    result = build_engine(small_onnx, BuildOptions("int8", "onnxruntime", small_table, out=out))
    assert result.instead_of_int8 is not None
    assert "INT8 takes 1.20 of float32's time" in result.instead_of_int8
    passport = EngineArtifact.read(passport_path(out))
    assert (passport.precision, passport.int8_convolutions, passport.calibration_sha256) == ("fp32", 0, None)
    assert passport.binding.instruction_set is None
    np.testing.assert_array_equal(open_engine(out).infer(FRAMES), open_engine(small_onnx).infer(FRAMES))
    words = shlex.split(passport.rebuild)
    assert words[words.index("--precision") + 1] == "fp32" and "--calibration" not in words
    assert rebuild_engine(passport_path(out)).identical


@pytest.mark.usefixtures("slow_int8")
def test_int8_is_kept_where_it_is_asked_for_in_so_many_words(
    small_onnx: Path, small_table: Path, tmp_path: Path
) -> None:
    def built(name: str, **more: Any) -> EngineArtifact:
        options = BuildOptions("int8", "onnxruntime", small_table, out=tmp_path / name, **more)
        return build_engine(small_onnx, options).passport

    kept = built("kept", keep_int8=True)
    planned = built("planned", plan=PrecisionPlan(default="int8", layers={"stem": "fp32", "head": "fp32"}))
    assert kept.precision == planned.precision == "int8"
    assert rebuild_engine(passport_path(tmp_path / "kept")).identical


@pytest.mark.parametrize(("ratio", "float32_ms", "kept"), [(0.9, 4.0, True), (0.99, 4.0, False), (3.0, 0.2, True)])
def test_when_int8_is_worth_having(
    ratio: float,
    float32_ms: float,
    kept: bool,
    small_onnx: Path,
    small_table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured = TimeRatio(ratio, ratio * float32_ms, float32_ms)
    monkeypatch.setattr(int8_gain, "time_ratio", lambda int8, float32: measured)
    result = build_engine(small_onnx, BuildOptions("int8", "onnxruntime", small_table, out=tmp_path / "x"))
    assert (result.passport.precision == "int8") is kept
    assert (result.instead_of_int8 is None) is kept


def test_an_int8_engine_is_made_for_every_instruction_set(small_onnx: Path, small_table: Path, tmp_path: Path) -> None:
    passports = [
        build_engine(small_onnx, BuildOptions(precision, "onnxruntime", table, out=tmp_path / precision)).passport
        for precision, table in (("int8", small_table), ("fp32", None))
    ]
    assert [passport.binding.instruction_set for passport in passports] == ["any", None]


@pytest.mark.parametrize("saturates", [True, False])
def test_an_int8_engine_of_an_older_edgeseg_is_opened_in_the_precise_mode(
    saturates: bool,
    small_onnx: Path,
    small_table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    out = tmp_path / "old.engine"
    passport = build_engine(small_onnx, BuildOptions("int8", "onnxruntime", small_table, out=out)).passport
    modes = []

    def record(threads: int, precise_int8: bool) -> Any:
        modes.append(precise_int8)
        return session_options(threads, precise_int8)

    monkeypatch.setattr(onnxruntime_session, "session_options", record)
    monkeypatch.setattr(onnxruntime_session, "examine_int8_kernels", lambda: KernelReport((), saturates))
    open_engine(out)
    passport.model_copy(update={"binding": Binding()}).write(passport_path(out))
    open_engine(out)
    assert modes == [False, True]
    assert [passport.rebuild in record.getMessage() for record in caplog.records] == [True] * saturates


def test_wrong_int8_kernels_are_refused_before_the_first_frame(
    small_onnx: Path, small_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for precision, table in (("int8", small_table), ("fp32", None)):
        build_engine(small_onnx, BuildOptions(precision, "onnxruntime", table, out=tmp_path / precision))
    wrong = KernelReport(("tiles of 32 rows: off by up to 90 of 255 levels",), False)
    monkeypatch.setattr(int8_kernels, "examine_int8_kernels", lambda: wrong)
    open_engine(tmp_path / "fp32").close()
    with pytest.raises(MissingComponentError, match="computes INT8 wrongly") as caught:
        open_engine(tmp_path / "int8")
    assert "tiles of 32 rows" in str(caught.value)
