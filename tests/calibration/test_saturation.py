"""No pair of products of a finished INT8 graph can saturate in 16 bits, whatever the processor and the picture."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeseg.artifacts import CalibrationTable
from edgeseg.calibration.qdq_style import ONNXRUNTIME_STYLE
from edgeseg.calibration.quantise import quantise
from edgeseg.calibration.ranges import calibrate
from edgeseg.graph.onnx_files import OnnxArtifact, load_onnx
from edgeseg.images import list_images
from edgeseg.packages import find_model, onnx_of
from tests.calibration.saturating_products import (
    INT16,
    exact_sums,
    patches,
    quantised_convolutions,
    rows_of,
    saturated_sums,
    worst_columns,
)

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path.parent for path in (ROOT / "models").glob("*/model.onnx"))
UNLIMITED = replace(ONNXRUNTIME_STYLE, pair_limit=None)


@pytest.fixture
def table(small_artifact: OnnxArtifact, small_images: Path) -> CalibrationTable:
    return calibrate(small_artifact, list_images(small_images))


def package(path: Path) -> tuple[OnnxArtifact, CalibrationTable]:
    files = find_model(path)
    assert files.calibration is not None
    return load_onnx(onnx_of(files)), CalibrationTable.read(files.calibration)


def in_pairs(weight: np.ndarray, groups: int) -> bool:
    """Depthwise kernels widen each product to 32 bits before they add."""
    return not (groups > 1 and weight.shape[1] == 1)


def saturates(weight: np.ndarray) -> bool:
    rows = rows_of(weight)
    columns = worst_columns(rows)
    return bool((saturated_sums(columns, rows) != exact_sums(columns, rows)).any())


def test_the_oracle_by_hand() -> None:
    rows = np.array([[127, 127, -128, -1, 3]])
    columns = np.array([[255, 255, 0, 255, 2], [255, 0, 255, 255, 2]])
    assert exact_sums(columns, rows).ravel().tolist() == [64521, -504]
    assert saturated_sums(columns, rows).ravel().tolist() == [INT16.max - 255 + 6, 255 * 127 + INT16.min + 6]


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: path.name)
def test_no_layer_of_a_shipped_package_saturates(path: Path) -> None:
    layers = quantised_convolutions(quantise(*package(path), ONNXRUNTIME_STYLE).proto)
    checked = {name: weight for name, (weight, groups) in layers.items() if in_pairs(weight, groups)}
    assert len(layers) > 40 and len(checked) > 25
    for name, weight in checked.items():
        flat = np.sort(weight.reshape(len(weight), -1).astype(int), axis=1)
        # Any two weights, in whatever order a kernel pairs them.
        assert 255 * (np.maximum(flat[:, -1], 0) + np.maximum(flat[:, -2], 0)).max() <= INT16.max, name
        assert 255 * (np.minimum(flat[:, 0], 0) + np.minimum(flat[:, 1], 0)).min() >= INT16.min, name
        assert not saturates(weight[:48]), name


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: path.name)
def test_without_the_limit_most_layers_would_saturate(path: Path) -> None:
    layers = quantised_convolutions(quantise(*package(path), UNLIMITED).proto)
    rows = [saturates(weight[:48]) for weight, groups in layers.values() if in_pairs(weight, groups)]
    assert np.mean(rows) > 0.9


def test_real_patches_have_the_same_sums_with_and_without_vnni(
    small_artifact: OnnxArtifact, table: CalibrationTable
) -> None:
    rng = np.random.default_rng(3)
    bright = rng.integers(200, 256, (16, 9, 9), dtype=np.uint8)
    limited = quantised_convolutions(quantise(small_artifact, table, ONNXRUNTIME_STYLE).proto)
    unlimited = quantised_convolutions(quantise(small_artifact, table, UNLIMITED).proto)
    changed = []
    for name, (weight, _) in limited.items():
        columns = patches(bright[: weight.shape[1]], weight.shape[2:], (1, 1))
        np.testing.assert_array_equal(saturated_sums(columns, rows_of(weight)), exact_sums(columns, rows_of(weight)))
        other = rows_of(unlimited[name][0])
        changed.append((saturated_sums(columns, other) != exact_sums(columns, other)).any())
    assert any(changed)


def test_the_limit_costs_less_than_one_bit_of_each_channel(
    small_artifact: OnnxArtifact, table: CalibrationTable
) -> None:
    limited = quantised_convolutions(quantise(small_artifact, table, ONNXRUNTIME_STYLE).proto)
    largest = [np.abs(weight.reshape(len(weight), -1)).max(axis=1) for weight, _ in limited.values()]
    assert np.concatenate(largest).min() >= 64
