"""Tests of what is asked of each version of TensorRT, by a double with exactly the names of its bindings.

tensorrt_api.json holds those names, read from the real bindings (10.3.0, 10.13.0.35, 11.4.0.106) and from
tensorrt-rtx 1.7.1.116; tensorrt_api.py wrote it. The double computes nothing: no GPU has run the backend `tensorrt`.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from edgeseg.calibration.ranges import calibrate
from edgeseg.errors import BadInputError, MissingComponentError, UsageError
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.export.builder_choice import builder_for
from edgeseg.export.builders import tensorrt_builder
from edgeseg.export.builders.builder import BuilderOptions, BuildRequest, BuiltEngine
from edgeseg.export.builders.tensorrt_builder import TensorRtBuilder
from edgeseg.export.builders.tensorrt_options import TENSORRT, TENSORRT_RTX, TensorRtOptions
from edgeseg.export.layers.engine_layers import layer_report
from edgeseg.export.layers.layer_times import measured_ms
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.images import list_images
from edgeseg.runtime.cuda.tensorrt_module import open_plan
from edgeseg.runtime.passport import bindings
from edgeseg.runtime.passport.gpu import find_gpu
from tests.export.tensorrt_targets import A2000, COMPATIBLE, ORIN, RTX, TENSORRT_VERSIONS

HERE = Path(__file__).parent
API: dict[str, dict[str, list[str]]] = json.loads((HERE / "tensorrt_api.json").read_text())


def build(module: Any, artifact: OnnxArtifact, say: Any = print, **options: Any) -> BuiltEngine:
    flavour = TENSORRT_RTX if module.key == RTX else TENSORRT
    return TensorRtBuilder(flavour, TensorRtOptions(**options)).build(BuildRequest(artifact, "fp16"), say)


def configured(module: Any) -> list[tuple[Any, ...]]:
    """Give what was asked of network, configuration and profile, in order, without the shared reading of results."""
    kinds = ("Builder.create_network", "IBuilderConfig.", "IOptimizationProfile.")
    return [call for call in module.calls if call[0].startswith(kinds) and "monitor" not in call[0]]


def shared(strongly_typed: int) -> list[tuple[Any, ...]]:
    return [
        ("Builder.create_network", strongly_typed),
        ("IBuilderConfig.profiling_verbosity =", "ProfilingVerbosity.DETAILED"),
        ("IBuilderConfig.clear_flag", "BuilderFlag.TF32"),
        ("IBuilderConfig.set_memory_pool_limit", "MemoryPoolType.WORKSPACE", 1 << 30),
    ]


PROFILE = [
    ("IOptimizationProfile.set_shape", "frame", (1, 16, 16, 3), (1, 16, 16, 3), (8, 16, 16, 3)),
    ("IBuilderConfig.add_optimization_profile", "<IOptimizationProfile>"),
]
TIMINGS = [
    ("IBuilderConfig.create_timing_cache", b""),
    ("IBuilderConfig.set_timing_cache", "<ITimingCache>", False),
]
TARGETS = [
    ("IBuilderConfig.num_compute_capabilities =", 3),
    ("IBuilderConfig.set_compute_capability", "ComputeCapability.SM86", 0),
    ("IBuilderConfig.set_compute_capability", "ComputeCapability.SM89", 1),
    ("IBuilderConfig.set_compute_capability", "ComputeCapability.SM120", 2),
    ("IBuilderConfig.set_flag", "BuilderFlag.REQUIRE_USER_ALLOCATION"),
]
WIDE = {"version_compatible": True, "hardware_compatibility": "ampere-plus"}
# The creation flag's bit differs only because the double numbers each version's own members.
CALLS = [
    ("tensorrt 10.3.0", {}, [*shared(1 << 1), *PROFILE, *TIMINGS]),
    ("tensorrt 10.13.0.35", {}, [*shared(1 << 3), *PROFILE, *TIMINGS]),
    ("tensorrt 11.4.0.106", {}, [*shared(1 << 2), *PROFILE, *TIMINGS]),
    (RTX, {}, [*shared(1 << 0), *TARGETS, *PROFILE]),
    ("tensorrt 10.3.0", WIDE, [*shared(1 << 1), *COMPATIBLE, *PROFILE, *TIMINGS]),
]


@pytest.mark.parametrize(("key", "options", "expected"), CALLS)
def test_the_calls_of_each_version(key, options, expected, install, small_artifact: OnnxArtifact) -> None:
    module = install(key)
    engine = build(module, small_artifact, **options)
    assert configured(module) == expected
    assert (engine.data, engine.backend_version) == (b"plan", key.split()[1])
    assert engine.build_flags["strongly_typed"] is True
    assert all(engine.build_flags[name] == value for name, value in options.items())


def test_the_installed_bindings_have_the_names_of_the_double() -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed (extra `rtx`, Linux x86-64)")
    if trt.__version__ != RTX.split()[1]:
        pytest.skip(f"tensorrt-rtx {trt.__version__} is here, the names are of {RTX}")
    assert runpy.run_path(str(HERE / "tensorrt_api.py"))["names_of"](trt) == API[RTX]


def test_a_version_without_the_flag_the_monitor_or_pools_still_builds(install, small_artifact: OnnxArtifact) -> None:
    module = install("tensorrt 11.4.0.106")
    for group in ("IProgressMonitor", "MemoryPoolType"):
        del module.api[group]
    module.api["NetworkDefinitionCreationFlag"].remove("STRONGLY_TYPED")
    assert build(module, small_artifact).data == b"plan"
    assert ("Builder.create_network", 0) in module.calls
    assert not any("memory_pool" in call[0] or "monitor" in call[0] for call in module.calls)


@pytest.mark.parametrize("key", TENSORRT_VERSIONS)
def test_int8_convolutions_come_from_the_engine(
    key: str, install, small_artifact: OnnxArtifact, small_images: Path
) -> None:
    new = key.startswith("tensorrt 11")
    kind = {"Format": "kCHW32", "DataType": "Int8"} if new else {"Format/Datatype": "Channel major INT8 format"}
    half = {"Format": "kLINEAR", "DataType": "Half"} if new else {"Format/Datatype": "Row major linear FP16 format"}
    layers = [
        {"Name": "down + down.act", "LayerType": "CaskConvolution", "Inputs": [kind]},
        {"Name": "x", "Metadata": "[ONNX Layer: up]\x1e[ONNX Layer: up.act]", "LayerType": "fusion", "Inputs": [kind]},
        {"Name": "residual", "LayerType": "Reformat", "Inputs": [kind]},
        {"Name": "stem", "LayerType": "CaskConvolution", "Inputs": [half]},
        "a layer of which nothing is told",
    ]
    install(key, information=json.dumps({"Layers": layers}))
    table = calibrate(small_artifact, list_images(small_images))
    engine = TensorRtBuilder(TENSORRT).build(BuildRequest(small_artifact, "int8", table))
    assert (engine.int8_convolutions, engine.convolutions) == (2, 5)


def test_the_engine_is_bound_to_gpu_version_and_driver(install, small_artifact: OnnxArtifact) -> None:
    binding = build(install("tensorrt 10.13.0.35"), small_artifact).binding
    assert (binding.gpu, binding.compute_capabilities, binding.driver) == (A2000.name, ("8.6",), "580.65.06")


def test_timings_are_kept_by_version_and_gpu(install, small_artifact: OnnxArtifact, tmp_path: Path) -> None:
    module = install("tensorrt 10.3.0", ORIN)
    build(module, small_artifact)
    kept = tmp_path / "cache" / "edgeseg" / "timing" / "tensorrt-10.3.0-orin-sm87.cache"
    assert kept.read_bytes() == b"timings after"
    build(module, small_artifact)
    assert ("IBuilderConfig.create_timing_cache", b"timings after") in module.calls
    module.refuses_timings, lines = True, []
    build(module, small_artifact, lines.append)
    assert any("started again" in line for line in lines)


def test_timings_that_cannot_be_kept_do_not_stop_a_build(install, small_artifact: OnnxArtifact, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    lines: list[str] = []
    assert build(install("tensorrt 10.3.0"), small_artifact, lines.append).data == b"plan"
    assert any("not kept" in line for line in lines)


@pytest.mark.parametrize("key", [*TENSORRT_VERSIONS, RTX])
def test_progress_is_told_and_what_it_raises_stops_the_build(key: str, install, small_artifact: OnnxArtifact) -> None:
    lines: list[str] = []
    build(install(key), small_artifact, lines.append)
    assert lines == ["TensorRT-RTX: Building" if key == RTX else "TensorRT: Building"]

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(install(key), small_artifact, interrupt)


def test_no_engine_tells_what_was_logged_once(install, small_artifact: OnnxArtifact) -> None:
    module = install("tensorrt 10.3.0", plan=None)
    for _ in range(2):
        with pytest.raises(BadInputError) as caught:
            build(module, small_artifact)
        assert caught.value.found == "out of memory"


REFUSED = [
    ("tensorrt 10.3.0", ORIN, WIDE, UsageError),
    ("tensorrt 10.3.0", A2000, {"hardware_compatibility": "same-compute-capability"}, BadInputError),
    (RTX, A2000, {"version_compatible": True}, UsageError),
    (RTX, A2000, {"compute_capabilities": ("8.7",)}, BadInputError),
    ("tensorrt 10.3.0", A2000, {"batch": (2, 1, 4)}, UsageError),
]


@pytest.mark.parametrize(("key", "gpu", "options", "error"), REFUSED)
def test_options_that_cannot_be(key, gpu, options, error, install, small_artifact: OnnxArtifact) -> None:
    with pytest.raises(error):
        build(install(key, gpu), small_artifact, **options)


def test_auto_takes_what_can_be_executed_and_says_why(install) -> None:
    install("tensorrt 10.3.0")
    builder, reason = builder_for("auto")
    assert builder.name == "tensorrt"
    assert "TensorRT 10.3.0 and NVIDIA RTX A2000 are here" in reason


def test_auto_says_what_is_missing_to_run_the_engine(install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("tensorrt 10.3.0")
    monkeypatch.setattr(tensorrt_builder, "is_installed", lambda name: False)
    assert "cuda13" in builder_for("auto")[1]
    monkeypatch.setattr(tensorrt_builder, "is_installed", lambda name: True)
    assert "cuda13" not in builder_for("auto")[1]


def test_tensorrt_without_a_gpu(install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("tensorrt 10.3.0")
    monkeypatch.setattr(tensorrt_builder, "find_gpu", lambda: find_gpu("libno-such-driver.so.1"))
    with pytest.raises(MissingComponentError) as caught:
        builder_for("tensorrt")
    assert "no NVIDIA driver" in str(caught.value.found)
    assert caught.value.next_command
    builder, reason = builder_for("auto")
    assert builder.name == "onnxruntime"
    assert "no NVIDIA driver" in reason
    with pytest.raises(UsageError, match="no builder options"):
        builder_for("auto", TensorRtOptions(workspace_bytes=64 << 20))


def test_auto_hands_its_flags_to_tensorrt(install) -> None:
    install("tensorrt 10.3.0")
    builder, _ = builder_for("auto", TensorRtOptions(workspace_bytes=64 << 20))
    assert isinstance(builder, TensorRtBuilder)
    assert builder.options.workspace_bytes == 64 << 20


def test_options_of_another_backend_are_refused(install) -> None:
    class OtherOptions(BuilderOptions):
        threads: int = 2

    install("tensorrt 10.3.0")
    with pytest.raises(UsageError, match="the options are not TensorRT's") as caught:
        builder_for("tensorrt", OtherOptions())
    assert caught.value.found == "OtherOptions"


def test_a_version_compatible_engine_may_bring_its_runtime(install, small_artifact: OnnxArtifact) -> None:
    allowed = ("Runtime.engine_host_code_allowed =", True)
    module = install("tensorrt 10.3.0")
    build(module, small_artifact)
    assert allowed not in module.calls
    build(module, small_artifact, version_compatible=True)
    assert allowed in module.calls


def test_a_tensorrt_that_is_too_old(install) -> None:
    module = install("tensorrt 10.3.0")
    module.__version__ = "8.6.1"
    with pytest.raises(MissingComponentError) as caught:
        builder_for("tensorrt")
    assert caught.value.found == "8.6.1"


@pytest.mark.parametrize("key", [*TENSORRT_VERSIONS, RTX])
def test_layers_are_timed_by_the_profiler_of_an_execution(key: str, install) -> None:
    module = install(key)
    module.layer_times_ms = [("down", 0.5), ("up", 0.25), ("down", 0.125)]
    engine = open_plan(module, b"plan")
    module.calls.clear()
    shapes = {"frame": (2, 16, 16, 3)}
    times_ms = measured_ms(module, engine, shapes, {"frame": 256, "probability": 512}.__getitem__, 5, 1)
    assert times_ms == {"down": 0.625, "up": 0.25}
    assert [call for call in module.calls if call[0].startswith("IExecutionContext.set_input")] == [
        ("IExecutionContext.set_input_shape", "frame", (2, 16, 16, 3))
    ]
    assert [call[1] for call in module.calls if call[0] == "IExecutionContext.execute_v2"] == [[256, 512]] * 6
    module.executes = False
    with pytest.raises(BadInputError):
        measured_ms(module, engine, shapes, {"frame": 256, "probability": 512}.__getitem__)


def test_a_tensorrt_report_without_pycuda_has_layers_but_no_times(
    install, small_artifact: OnnxArtifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = [{"Name": "down", "LayerType": "CaskConvolution", "Inputs": [{"Format/Datatype": "INT8"}]}]
    install("tensorrt 10.3.0", information=json.dumps({"Layers": layers}))
    monkeypatch.setattr(bindings, "find_gpu", lambda: A2000)
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    out = tmp_path / "x.engine"
    build_engine(small_artifact.path, BuildOptions("fp16", "tensorrt", out=out))
    report = layer_report(out)
    assert [(layer.name, layer.precision, layer.time_ms) for layer in report.layers] == [("down", "int8", None)]
    assert "pycuda" in str(report.time_missing)
