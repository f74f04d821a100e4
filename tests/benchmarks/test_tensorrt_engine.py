from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import tensorrt_engine
from benchmarks.gpu.tensorrt_engine import tensorrt_opening
from edgeseg.export.builders.tensorrt_options import TENSORRT, TENSORRT_RTX, check_options
from edgeseg.runtime.passport.gpu import Gpu

FAKE = Gpu(name="Made Up", compute_capability="8.6", driver="580", jetson=False)


class StoppedError(Exception):
    """Ends a build before it begins."""


def test_the_options_are_those_that_the_backend_takes(monkeypatch: pytest.MonkeyPatch, small_onnx: Path) -> None:
    asked: dict[str, Any] = {}

    def build(model: Path, options: Any) -> Any:
        asked[options.backend] = options.builder
        raise StoppedError

    monkeypatch.setattr(tensorrt_engine, "find_gpu", lambda: FAKE)
    monkeypatch.setattr(tensorrt_engine, "build_engine", build)
    for backend in ("tensorrt", "tensorrt-rtx"):
        with pytest.raises(StoppedError):
            tensorrt_opening(backend, small_onnx)
    check_options(TENSORRT, asked["tensorrt"], jetson=True)
    check_options(TENSORRT_RTX, asked["tensorrt-rtx"], jetson=False)
    assert asked["tensorrt-rtx"].compute_capabilities == ("8.6",)


def test_tensorrt_rtx_builds_a_real_engine_that_is_no_stand_in(
    monkeypatch: pytest.MonkeyPatch, small_onnx: Path
) -> None:
    version = pytest.importorskip("tensorrt_rtx").__version__
    monkeypatch.setattr(tensorrt_engine, "find_gpu", lambda: FAKE)
    opening = tensorrt_opening("tensorrt-rtx", small_onnx)
    assert opening.name == f"tensorrt-rtx {version} FP16" and not opening.stand_in
    assert opening.info.backend == opening.name
