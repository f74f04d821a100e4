"""The plot of ranges: which tensors, what share is clipped, and a picture that holds them. The oracle is numpy."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeseg.artifacts import CalibrationTable, Range
from edgeseg.calibration.histogram_observers import PercentileObserver
from edgeseg.calibration.observer import MaxObserver, Observer
from edgeseg.calibration.range_plot import most_cut, write_range_plot
from edgeseg.cli import run

CLIPS = {"whole": 8.0, "whole with an outlier": 64.0, "half": 4.0, "a little": 7.5}


@pytest.fixture
def seen() -> tuple[dict[str, np.ndarray], dict[str, Observer], CalibrationTable]:
    """Values, what observed them, and clips that were chosen by hand."""
    rng = np.random.default_rng(2)
    values = {name: np.append(rng.uniform(-8, 8, 9999), 8).astype(np.float32) for name in CLIPS}
    values["whole with an outlier"][0] = 64
    observers: dict[str, Observer] = {name: PercentileObserver() for name in CLIPS}
    for name, observer in observers.items():
        observer.update(values[name])
    ranges = {name: Range(minimum=-8, maximum=8, amax=clip) for name, clip in CLIPS.items()}
    table = CalibrationTable(method="mse", image_count=1, data_sha256="d", weights_sha256="w", ranges=ranges)
    return values, observers, table


def test_the_most_cut_come_first_and_then_those_with_outliers(seen) -> None:
    values, observers, table = seen
    tensors = most_cut(table, observers)
    assert [tensor.name for tensor in tensors] == ["half", "a little", "whole with an outlier", "whole"]
    for tensor in tensors:
        magnitudes = np.abs(values[tensor.name])
        assert tensor.clipped_share == pytest.approx(np.mean(magnitudes > tensor.clip), abs=2e-4)
        assert tensor.largest == magnitudes.max()
        assert tensor.reach == pytest.approx(magnitudes.max() / np.quantile(magnitudes, 0.99), rel=2e-2)
        expected, _ = np.histogram(magnitudes, len(tensor.counts), (0, tensor.largest))
        assert np.abs(tensor.counts - expected).max() <= 0.02 * len(magnitudes)
        assert tensor.counts.sum() == pytest.approx(len(magnitudes))
    assert [tensor.name for tensor in most_cut(table, observers, 1)] == ["half"]


def test_zeros_and_extremes_alone_are_left_out(seen) -> None:
    _, observers, table = seen
    zeros, extremes = PercentileObserver(), MaxObserver()
    zeros.update(np.zeros(9, np.float32))
    extremes.update(np.ones(2, np.float32))
    ranges = {**table.ranges, "zeros": Range(minimum=0, maximum=0, amax=0), "max": Range(minimum=0, maximum=1, amax=1)}
    table = table.model_copy(update={"ranges": ranges})
    assert {tensor.name for tensor in most_cut(table, {**observers, "zeros": zeros, "max": extremes})} == set(CLIPS)


def test_the_clip_is_where_the_colour_changes(seen, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'edgeseg[bench]'")
    _, observers, table = seen
    write_range_plot(most_cut(table, observers, 1), "one tensor", tmp_path / "plot.png")
    picture = np.asarray(Image.open(tmp_path / "plot.png").convert("RGB")).astype(int)
    red = (picture[..., 0] - picture[..., 2] > 150).sum(axis=0)
    shaded = np.flatnonzero((np.abs(picture - (249, 230, 217)).max(axis=2) < 12).sum(axis=0) > 50)
    blue = np.flatnonzero((np.abs(picture - (47, 102, 144)).max(axis=2) < 12).sum(axis=0) > 50)
    left, right, line = blue.min(), shaded.max(), int(red.argmax())
    assert (line - left) / (right - left) == pytest.approx(0.5, abs=0.02)
    assert blue.max() <= line + 2 and shaded.min() >= line - 2


def test_the_command_draws_beside_its_table(
    small_onnx: Path, small_images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'edgeseg[bench]'")
    plot, table = tmp_path / "ranges.svg", tmp_path / "table.json"
    words = ["calibrate", str(small_onnx), "--data", str(small_images), "--method", "mse", "--out", str(table)]
    assert run(words) == 0
    without = table.read_bytes()
    assert run([*words, "--plot", str(plot)]) == 0
    assert table.read_bytes() == without
    assert plot.stat().st_size > 5000
    assert f"wrote {plot}" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(("method", "name"), [("max", "ranges.png"), ("mse", "ranges.bmp")])
def test_what_cannot_be_drawn_is_refused_before_anything_is_run(
    method: str, name: str, small_onnx: Path, small_images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table.json"
    words = ["calibrate", str(small_onnx), "--data", str(small_images), "--out", str(table)]
    assert run([*words, "--method", method, "--plot", str(tmp_path / name), "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert "percentile or mse or entropy" in document["expected"] or ".png, .svg, .pdf" in document["expected"]
    assert not table.exists()
