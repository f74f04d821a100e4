"""What is asked of each version of TensorRT to put weights back, by the double that has exactly its names.

The graph handed to the refitter must be the one that the parser was handed: its names are what the engine's weights are
called by. The double computes nothing: no GPU has put weights back.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeseg.artifacts import EngineArtifact, PrecisionPlan
from edgeseg.calibration.ranges import calibrate
from edgeseg.errors import MismatchError, UsageError
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.export.builders.tensorrt_options import TensorRtOptions
from edgeseg.export.layers.engine_layers import layer_report
from edgeseg.graph.files import OnnxArtifact
from edgeseg.images import list_images
from edgeseg.inspect import describe
from edgeseg.runtime.cuda.engine_weights import EngineWeights, engine_weights
from edgeseg.runtime.cuda.errors import DeviceMemoryError
from edgeseg.runtime.cuda.refit import refit
from edgeseg.runtime.cuda.tensorrt_engine import TensorRtEngine
from edgeseg.runtime.cuda.tensorrt_module import open_plan
from edgeseg.runtime.passport import bindings
from edgeseg.runtime.passport.gpu import Gpu
from edgeseg.runtime.passport.passports import read_checked

RTX = "tensorrt_rtx 1.7.1.116"
VERSIONS = ["tensorrt 10.3.0", "tensorrt 10.13.0.35", "tensorrt 11.4.0.106", RTX]
STRIP = TensorRtOptions(strip=True)
ISLAND = PrecisionPlan(default="fp16", layers={"down": "int8", "head": "fp32"})
Build = Callable[..., tuple[Path, EngineArtifact]]


@pytest.fixture
def stripped(small_artifact: OnnxArtifact, small_images: Path, tmp_path: Path) -> Build:
    """Builds an engine without its weights with the double that was installed last."""

    def build(backend: Any = "tensorrt", **options: Any) -> tuple[Path, EngineArtifact]:
        calibrate(small_artifact, list_images(small_images)).write(small_artifact.path.with_suffix(".calibration.json"))
        out = tmp_path / "built" / "small.engine"
        asked = {"precision": "fp16", "tensorrt": STRIP} | options
        result = build_engine(small_artifact.path, BuildOptions(backend=backend, out=out, **asked))
        return out, result.passport

    return build


def given_back(engine: Path, passport: EngineArtifact) -> EngineWeights:
    weights = engine_weights(engine, passport)
    assert weights is not None
    return weights


@pytest.mark.parametrize("key", VERSIONS)
def test_the_calls_of_each_version(key: str, install, stripped: Build) -> None:
    module = install(key)
    engine, passport = stripped("tensorrt-rtx" if key == RTX else "tensorrt")
    weights = given_back(engine, passport)
    opened = open_plan(module, engine.read_bytes())
    module.calls.clear()
    assert refit(module, opened, weights.onnx, passport) == 2
    assert module.calls == [
        ("Refitter", "<ICudaEngine>"),
        ("Refitter.get_all_weights",),
        ("OnnxParserRefitter", "<Refitter>"),
        ("OnnxParserRefitter.refit_from_bytes", module.network_bytes),
        ("Refitter.get_missing_weights",),
        ("Refitter.refit_cuda_engine",),
    ]


@pytest.mark.parametrize(
    "options", [{"precision": "fp32"}, {"precision": "fp16"}, {"precision": "int8"}, {"plan": ISLAND}], ids=str
)
def test_the_graph_is_the_one_that_the_parser_saw(options: dict[str, Any], install, stripped: Build) -> None:
    module = install("tensorrt 10.3.0")
    engine, passport = stripped(**options)
    assert given_back(engine, passport).onnx == module.network_bytes
    assert EngineArtifact.read(engine.with_name("small.engine.json")).refit_sha256 == passport.refit_sha256


def test_an_engine_with_its_weights_needs_none(install, stripped: Build) -> None:
    install("tensorrt 10.3.0")
    engine, passport = stripped(tensorrt=None)
    assert passport.refit_sha256 is None
    assert engine_weights(engine, passport) is None


def parser_refuses(module: Any) -> None:
    module.takes_weights = False


def weights_are_missing(module: Any) -> None:
    module.missing_weights = ["a", "b", "c", "d"]


def engine_refuses(module: Any) -> None:
    module.refits = False


def not_refittable(module: Any) -> None:
    module.refittable = False


REFUSALS = [
    (parser_refuses, "Failed to set named weights", "ParserError.desc"),
    (weights_are_missing, "a, b, c and 1 more", "Refitter.get_missing_weights"),
    (engine_refuses, "refit failed", "Refitter.refit_cuda_engine"),
    (not_refittable, "condition: e.isRefittable()", "Refitter"),
]


@pytest.mark.parametrize(("fault", "found", "last_call"), REFUSALS)
def test_refusals_say_what_the_library_said(
    fault: Callable[[Any], None], found: str, last_call: str, install, stripped: Build
) -> None:
    module = install("tensorrt 11.4.0.106")
    engine, passport = stripped()
    weights, opened = given_back(engine, passport), open_plan(module, b"plan")
    fault(module)
    module.calls.clear()
    for _ in range(2):  # what was said the first time is not said again
        with pytest.raises(MismatchError) as caught:
            refit(module, opened, weights.onnx, passport)
        assert caught.value.found == found
        assert (caught.value.next_command or "").startswith("edgeseg build-engine")
    assert module.calls[-1][0] == last_call


def test_no_memory_for_the_weights_may_be_tried_again(install, stripped: Build) -> None:
    module = install("tensorrt 10.3.0")
    engine, passport = stripped()
    weights, opened = given_back(engine, passport), open_plan(module, b"plan")
    module.refits = None
    with pytest.raises(DeviceMemoryError) as caught:
        refit(module, opened, weights.onnx, passport)
    assert caught.value.found == "out of memory"


def test_without_weights_the_plan_is_not_handed_to_the_library(install, stripped: Build) -> None:
    module = install("tensorrt 10.3.0")
    plan, passport = read_checked(stripped()[0])
    module.calls.clear()
    with pytest.raises(MismatchError, match="none were given"):
        TensorRtEngine(plan, passport)
    assert module.calls == []


def test_a_table_that_nobody_keeps_is_refused_before_the_build(
    install, small_onnx: Path, small_images: Path, tmp_path: Path
) -> None:
    install("tensorrt 10.3.0")
    out = tmp_path / "x.engine"
    options = BuildOptions("int8", "tensorrt", calibration_data=small_images, out=out, tensorrt=STRIP)
    with pytest.raises(UsageError) as caught:
        build_engine(small_onnx, options)
    assert f"--data {small_images}" in str(caught.value.next_command)
    assert not out.exists()


def test_inspect_says_that_the_weights_are_left_out(install, stripped: Build) -> None:
    install("tensorrt 10.3.0")
    engine, passport = stripped()
    assert describe(engine).facts["weights"] == f"left out; those of the network {passport.onnx_sha256[:12]}"
    assert "weights" not in describe(stripped(tensorrt=None)[0]).facts


def test_layers_are_told_without_times_where_the_network_is_not_there(
    install, stripped: Build, small_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = [{"Name": "down", "LayerType": "CaskConvolution", "Inputs": [{"Format/Datatype": "FP16"}]}]
    module = install("tensorrt 10.3.0", information=json.dumps({"Layers": layers}))
    monkeypatch.setattr(bindings, "find_gpu", lambda: Gpu("NVIDIA RTX A2000", "8.6", "580.65.06"))
    engine, _ = stripped()
    small_onnx.unlink()
    module.calls.clear()
    report = layer_report(engine)
    assert [(layer.name, layer.time_ms) for layer in report.layers] == [("down", None)]
    assert "without its weights" in str(report.time_missing)
    assert not any(call[0].startswith(("Refitter", "IExecutionContext")) for call in module.calls)
