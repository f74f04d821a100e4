"""The seam that calibration methods go through: a toy one is registered here, and every command takes it."""

import json
import shlex
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgeseg.artifacts import CalibrationTable, EngineArtifact
from edgeseg.calibration.methods import METHODS
from edgeseg.calibration.observer import MaxObserver, Observer
from edgeseg.calibration.ranges import calibrate
from edgeseg.cli import run
from edgeseg.errors import BadInputError, MismatchError, UsageError
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.export.rebuild import rebuild_engine
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.images import list_images
from edgeseg.runtime.passport.passports import passport_path

pytestmark = pytest.mark.usefixtures("own_cache")
FINITE = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=1, max_dims=4),
    elements=st.floats(-1024, 1024, width=32),
)


class MeanOfMaxima(Observer):
    """The toy: the mean over the images of the largest magnitude, found from whole tensors."""

    def __init__(self) -> None:
        self.total, self.images = 0.0, 0
        self.shapes: set[tuple[int, ...]] = set()

    def update(self, values: NDArray[np.float32]) -> None:
        assert values.dtype == np.float32
        self.total += float(np.abs(values).max())
        self.images += 1
        self.shapes.add(values.shape)
        assert len(self.shapes) == 1 and values.ndim == 4

    def amax(self) -> float:
        return self.total / self.images


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(METHODS, "toy", MeanOfMaxima)
    return "toy"


@given(st.lists(FINITE, min_size=1, max_size=4))
def test_max_is_the_largest_magnitude_of_tensors_as_of_their_extremes(images: list[NDArray[np.float32]]) -> None:
    whole, extremes = MaxObserver(), MaxObserver()
    for image in images:
        whole.update(image)
        extremes.update(np.array([image.min(), image.max()]))
    assert whole.amax() == extremes.amax() == max(float(np.abs(image).max()) for image in images)


def test_another_method_changes_amax_alone(toy: str, small_artifact: OnnxArtifact, small_images: Path) -> None:
    images = list_images(small_images)
    tables = {name: calibrate(small_artifact, images, method=name) for name in ("max", toy)}
    alone = [calibrate(small_artifact, [image]) for image in images]
    assert tables[toy].method == "toy"
    for name, largest in tables["max"].ranges.items():
        seen = tables[toy].ranges[name]
        assert (seen.minimum, seen.maximum) == pytest.approx((largest.minimum, largest.maximum), rel=1e-6)
        assert seen.amax == pytest.approx(np.mean([table.ranges[name].amax for table in alone]), rel=1e-5)
        assert seen.amax <= largest.amax * (1 + 1e-6)


def test_whole_tensors_are_forgotten_image_by_image(toy: str, small_artifact: OnnxArtifact, small_images: Path) -> None:
    images = list_images(small_images)

    def peak(count: int) -> int:
        tracemalloc.start()
        calibrate(small_artifact, (images * 20)[:count], method=toy)
        result = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return result

    peak(4)
    assert peak(200) < 1.2 * peak(20) + 50_000


def test_the_commands_take_it_by_its_name(
    toy: str,
    small_onnx: Path,
    small_images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    table, out = tmp_path / "t.json", tmp_path / "x.engine"
    for command in ("calibrate", "build-engine"):
        assert run([command, "--help"]) == 0
        assert "[max|percentile|mse|entropy|toy|auto]" in capsys.readouterr().out
    words = ["calibrate", str(small_onnx), "--data", str(small_images), "--out", str(table)]
    assert run([*words, "--method", "toy"]) == 0
    assert CalibrationTable.read(table).method == "toy"
    flags = ["--precision", "int8", "--keep-int8", "--calibration-data", str(small_images), "--out", str(out)]
    assert run(["build-engine", str(small_onnx), *flags, "--method", "toy"]) == 0
    passport = EngineArtifact.read(passport_path(out))
    assert passport.calibration_sha256 == CalibrationTable.read(table).sha256
    rebuilt = shlex.split(passport.rebuild)
    assert rebuilt[rebuilt.index("--method") + 1] == "toy"
    assert rebuild_engine(passport_path(out)).identical


@pytest.mark.parametrize(
    "words",
    [
        ["calibrate", "m.onnx", "--data", "d", "--out", "t.json", "--method", "wisdom"],
        ["build-engine", "m.onnx", "--precision", "int8", "--calibration-data", "d", "--method", "wisdom"],
    ],
)
def test_a_method_that_does_not_exist_is_a_usage_error_that_names_those_that_do(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, "--json"]) == 2
    assert "'wisdom' is not one of 'max'" in json.loads(capsys.readouterr().out)["what"]


def test_nor_does_the_function_take_it(small_artifact: OnnxArtifact, small_images: Path) -> None:
    with pytest.raises(UsageError, match="no calibration method wisdom") as caught:
        calibrate(small_artifact, list_images(small_images), method="wisdom")
    assert caught.value.expected == "max or percentile or mse or entropy"


def test_a_table_is_held_to_the_method_that_was_asked_for(
    toy: str, small_artifact: OnnxArtifact, small_onnx: Path, small_images: Path, tmp_path: Path
) -> None:
    path = tmp_path / "t.json"
    calibrate(small_artifact, list_images(small_images), method=toy).write(path)

    def build(method: str | None) -> EngineArtifact:
        options = BuildOptions("int8", "onnxruntime", path, out=tmp_path / "x", keep_int8=True, method=method)
        return build_engine(small_onnx, options).passport

    assert build(None).engine_sha256 == build("toy").engine_sha256
    with pytest.raises(MismatchError, match="not made with --method max") as caught:
        build("max")
    assert caught.value.found == "method toy"
    assert "--method max" in (caught.value.next_command or "")


def test_a_table_of_an_unknown_method_is_refused(
    small_artifact: OnnxArtifact, small_onnx: Path, small_images: Path, tmp_path: Path
) -> None:
    table = calibrate(small_artifact, list_images(small_images)).model_copy(update={"method": "wisdom"})
    table.write(tmp_path / "t.json")
    with pytest.raises(BadInputError, match="does not know the method") as caught:
        build_engine(small_onnx, BuildOptions("int8", calibration=tmp_path / "t.json", out=tmp_path / "x"))
    assert (caught.value.found, caught.value.expected) == ("wisdom", "max or percentile or mse or entropy")
