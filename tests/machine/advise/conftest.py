"""Squares on three readable splits, and a machine on which only what a test names executes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeseg.calibration.ranges import calibrate
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.images import list_images
from edgeseg.machine.doctor.checks import AutomaticChoice, BackendState, DoctorReport
from edgeseg.machine.doctor.hardware import Hardware
from tests.export.mixing.conftest import Chain, write_squares


@pytest.fixture(scope="session")
def squares_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Squares of 200 and more on 50 and less."""
    root, generator = tmp_path_factory.mktemp("squares"), np.random.default_rng(3)
    for split, count in (("train", 6), ("validation", 8), ("test", 8)):
        write_squares(root / split, split, count, generator)
    return root


@pytest.fixture
def lay(tmp_path: Path, squares_data: Path) -> Callable[[Chain], Path]:
    """Write a network, with its calibration table beside it."""

    def write(chain: Chain, with_table: bool = True) -> Path:
        model = chain.save(tmp_path / "net.onnx")
        if with_table:
            images = list_images(squares_data / "train" / "images")
            calibrate(load_onnx(model), images).write(tmp_path / "net.calibration.json")
        return model

    return write


@pytest.fixture
def chain() -> Chain:
    return Chain()


@pytest.fixture
def machine() -> DoctorReport:
    """onnxruntime executes here; tensorrt-rtx only builds."""
    return DoctorReport(
        edgeseg_version="0",
        machine="a machine of the tests, 2 usable cores",
        hardware=Hardware(gpu_missing="none"),
        checks=(),
        backends=(
            BackendState(name="onnxruntime", builds=True, runs=True, reason="everything it needs is here"),
            BackendState(name="tensorrt-rtx", builds=True, runs=False, reason="to run, it lacks GPU"),
        ),
        auto=AutomaticChoice(backend="onnxruntime", reason="no GPU"),
    )
