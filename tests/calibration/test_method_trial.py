"""The method `auto`: the ranges of the method under which fewest pixels of the mask flip."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from edgeseg.artifacts import CalibrationTable, MethodTrial
from edgeseg.calibration.method_trial import tables_by_method, trial_in_words
from edgeseg.calibration.methods import METHODS
from edgeseg.calibration.observer import Observer
from edgeseg.calibration.placement import default_plan
from edgeseg.calibration.qdq_style import ONNXRUNTIME_STYLE
from edgeseg.calibration.quantise import quantise
from edgeseg.calibration.ranges import calibrate, measure_ranges
from edgeseg.calibration.table_check import check_table
from edgeseg.cli import run
from edgeseg.errors import MismatchError
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.images import list_images, read_rgb
from tests.calibration.picture_files import written

pytestmark = pytest.mark.usefixtures("own_cache")


def ranges_of(table: CalibrationTable) -> dict[str, float]:
    return {name: seen.amax for name, seen in table.ranges.items()}


def flipped(artifact: OnnxArtifact, table: CalibrationTable, images: list[Path]) -> float:
    """The share of the mask's pixels in which the table's INT8 graph differs from float32, picture by picture."""
    int8 = quantise(artifact, table, ONNXRUNTIME_STYLE, default_plan(artifact.proto, "int8", "fp32")).proto
    exact, rounded = (onnxruntime.InferenceSession(p.SerializeToString()) for p in (artifact.proto, int8))
    frames = [read_rgb(path)[np.newaxis] for path in images]
    masks = [[s.run(None, {"frame": frame})[0] >= 0.5 for frame in frames] for s in (exact, rounded)]
    return float(np.mean(np.not_equal(*masks)))


def test_one_pass_gives_the_tables_of_all_methods(small_artifact: OnnxArtifact, small_images: Path) -> None:
    images, seen = list_images(small_images), dict[str, Observer]()
    table = measure_ranges(small_artifact, images, method="percentile", examine=seen.update)
    tables = tables_by_method(table, seen)
    assert list(tables) == list(METHODS)
    for method, made in tables.items():
        alone = measure_ranges(small_artifact, images, method=method)
        assert made.method == method and ranges_of(made) == pytest.approx(ranges_of(alone), rel=1e-6)


def test_the_method_with_fewest_flips_is_kept(small_artifact: OnnxArtifact, tmp_path: Path) -> None:
    model = small_artifact.metadata.model
    frames = np.random.default_rng(5).integers(0, 256, (6, model.height, model.width, 3), dtype=np.uint8)
    images = written(tmp_path, frames)
    table = calibrate(small_artifact, images, method="auto")
    shares = {m: flipped(small_artifact, measure_ranges(small_artifact, images, method=m), images) for m in METHODS}
    trial = table.method_trial
    assert trial is not None and trial.image_count == len(images)
    assert trial.flipped_shares == pytest.approx(shares, abs=1e-6)
    assert len(set(shares.values())) > 1 and table.method == trial.method == min(shares, key=lambda m: shares[m])
    assert ranges_of(table) == ranges_of(measure_ranges(small_artifact, images, method=table.method))


def test_the_first_of_equals_is_taken() -> None:
    trial = MethodTrial(image_count=2, flipped_shares={"max": 0.002, "percentile": 0.001, "mse": 0.001})
    assert trial.method == "percentile"
    assert trial_in_words(trial).startswith("ranges are those of percentile: on 2 pictures")


def test_a_table_for_auto_holds_a_trial(small_artifact: OnnxArtifact, small_images: Path) -> None:
    images = list_images(small_images)
    check_table(small_artifact, calibrate(small_artifact, images, method="auto"), "auto")
    with pytest.raises(MismatchError, match="not made with --method auto"):
        check_table(small_artifact, calibrate(small_artifact, images), "auto")


def test_the_command_says_what_was_tried(
    small_onnx: Path, small_images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, plot = tmp_path / "table.json", tmp_path / "ranges.png"
    words = ["calibrate", str(small_onnx), "--data", str(small_images), "--method", "auto", "--out", str(out)]
    assert run([*words, "--plot", str(plot)]) == 0
    table = CalibrationTable.read(out)
    assert table.method_trial is not None and plot.stat().st_size > 0
    said = capsys.readouterr().out
    assert f"method {table.method}" in said and all(f"with {method}" in said for method in METHODS)
    build = ["build-engine", str(small_onnx), "--precision", "int8", "--backend", "onnxruntime", "--keep-int8"]
    made = [*build, "--calibration", str(out), "--method", "auto", "--out", str(tmp_path / "a.engine")]
    assert run(made) == 0
    capsys.readouterr()
    again = ["build-engine", "--from-passport", str(tmp_path / "a.engine.json"), "--out", str(tmp_path / "b.engine")]
    assert run([*again, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["calibration_sha256"] == table.sha256
