"""Real TensorRT-RTX engines, built here without a GPU."""

import re
from pathlib import Path

import onnx
import pytest

from edgeseg.artifacts import CalibrationTable, Precision, PrecisionPlan
from edgeseg.calibration.placement import default_plan
from edgeseg.calibration.ranges import calibrate
from edgeseg.calibration.strongly_typed import strongly_typed
from edgeseg.errors import BadInputError, MissingComponentError
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.export.builders.tensorrt_options import TensorRtOptions
from edgeseg.export.layers.plan_text import CONVOLUTIONS, convolution_types, plan_layers
from edgeseg.export.rebuild import rebuild_engine
from edgeseg.graph.onnx_files import load_onnx, serialize, with_metadata
from edgeseg.images import list_images
from edgeseg.runtime.cuda.tensorrt_module import error_log
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.passport.passports import passport_path

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed (extra `rtx`, Linux x86-64)")

PACKAGES = sorted((Path(__file__).parents[2] / "models").glob("*/model.onnx"))


@pytest.fixture
def small_table(small_onnx: Path, small_images: Path) -> Path:
    path = small_onnx.parent.parent / "table.json"
    calibrate(load_onnx(small_onnx), list_images(small_images)).write(path)
    return path


@pytest.mark.parametrize(("precision", "operand"), [("fp32", "fp32"), ("fp16", "fp16"), ("int8", "int8")])
def test_the_plan_runs_its_convolutions_in_the_precision_asked_for(
    small_onnx: Path, small_table: Path, tmp_path: Path, precision: str, operand: str
) -> None:
    calibration = small_table if precision == "int8" else None
    options = BuildOptions(precision, "tensorrt-rtx", calibration, out=tmp_path / "x.engine")
    passport = build_engine(small_onnx, options).passport
    types = convolution_types((tmp_path / "x.engine").read_bytes())
    assert len(passport.binding.compute_capabilities or ()) == 3
    assert len(types) == 5
    assert types.count(operand) == (3 if precision == "int8" else 5)
    assert (passport.convolutions, passport.int8_convolutions) == (5, 3 if precision == "int8" else 0)
    assert passport.backend_version.count(".") >= 2


def test_an_engine_that_cannot_run_here_says_what_can(small_onnx: Path, tmp_path: Path) -> None:
    build_engine(small_onnx, BuildOptions("fp16", "tensorrt-rtx", out=tmp_path / "x.engine"))
    with pytest.raises(MissingComponentError) as caught:
        open_engine(tmp_path / "x.engine")
    assert "--backend onnxruntime" in (caught.value.next_command or "")


@pytest.mark.parametrize(("operator", "advice"), [("Det", "replace the operator"), ("MaxUnpool", "Resize or")])
def test_an_operator_that_the_parser_lacks_is_named(
    operator: str, advice: str, small_onnx: Path, tmp_path: Path
) -> None:
    artifact = load_onnx(small_onnx)
    relu = next(node for node in artifact.proto.graph.node if node.op_type == "Relu")
    relu.op_type = operator
    if operator == "MaxUnpool":
        relu.input.append("stem.out")
        relu.attribute.append(onnx.helper.make_attribute("kernel_shape", [2, 2]))
    name = relu.name
    small_onnx.write_bytes(serialize(with_metadata(artifact.proto, artifact.metadata)))
    with pytest.raises(BadInputError) as caught:
        build_engine(small_onnx, BuildOptions("fp32", "tensorrt-rtx", out=tmp_path / "x.engine"))
    found = str(caught.value.found)
    assert f"node {name}, operator {operator}, inputs stem.out float[N,8,16,16]" in found
    assert str(caught.value.expected).startswith(advice)
    assert not (tmp_path / "x.engine").exists()


def test_a_shape_that_does_not_fit_is_told_with_the_shapes(small_onnx: Path, tmp_path: Path) -> None:
    artifact = load_onnx(small_onnx)
    concat = next(node for node in artifact.proto.graph.node if node.op_type == "Concat")
    concat.attribute[0].i = 3
    small_onnx.write_bytes(serialize(with_metadata(artifact.proto, artifact.metadata)))
    with pytest.raises(BadInputError) as caught:
        build_engine(small_onnx, BuildOptions("fp32", "tensorrt-rtx", out=tmp_path / "x.engine"))
    assert "operator Conv" in str(caught.value.found)
    assert "joined float[" in str(caught.value.found)


def test_one_batch_size_builds_the_same_bytes_twice(small_onnx: Path, tmp_path: Path) -> None:
    options = TensorRtOptions(batch=(1, 1, 1))
    out = tmp_path / "x.engine"
    first = build_engine(small_onnx, BuildOptions("fp16", "tensorrt-rtx", out=out, builder=options))
    again = rebuild_engine(passport_path(out))
    assert again.identical
    assert again.result.passport == first.passport


def test_a_range_of_batches_builds_the_same_but_for_numbers_of_internal_tensors(
    small_onnx: Path, tmp_path: Path
) -> None:
    plans = set()
    for _ in range(8):
        build_engine(small_onnx, BuildOptions("fp16", "tensorrt-rtx", out=tmp_path / "x.engine"))
        plans.add(re.sub(rb"__mye\d+", b"#", (tmp_path / "x.engine").read_bytes()))
    assert len(plans) == 1


def test_progress_comes_from_the_build_and_can_stop_it(small_onnx: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    options = BuildOptions("fp16", "tensorrt-rtx", out=tmp_path / "x.engine")
    build_engine(small_onnx, options, say=lines.append)
    assert lines[0].startswith("TensorRT-RTX: ")
    (tmp_path / "x.engine").unlink()

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_engine(small_onnx, options, say=interrupt)
    assert not (tmp_path / "x.engine").exists()


def island_plan(names: list[str]) -> PrecisionPlan:
    """INT8, but FP16 at the ends and float32 in the middle third."""
    middle = dict.fromkeys(names[len(names) // 3 : 2 * len(names) // 3], "fp32")
    ends = dict.fromkeys((names[0], names[-1]), "fp16")
    return PrecisionPlan(default="int8", layers={**middle, **ends})  # type: ignore[arg-type]


def ends_of(names: list[str]) -> set[str]:
    """The first and the last convolution; of a pair those of both networks."""
    parts = [[name for name in names if name.startswith(part)] for part in ("large.", "small.")]
    return {name for part in (parts if any(parts) else [names]) for name in (part[0], part[-1])}


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "mixed"])
@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.parent.name)
def test_shipped_models_build_in_every_precision(package: Path, tmp_path: Path, precision: str) -> None:
    graph = load_onnx(package).proto.graph
    nodes = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose")]
    means = {output for node in graph.node if node.op_type == "ReduceMean" for output in node.output}
    names = [node.name for node in nodes]
    plan = island_plan(names) if precision == "mixed" else None
    asked = "int8" if precision == "mixed" else precision
    out = tmp_path / "x.engine"
    passport = build_engine(package.parent, BuildOptions(asked, "tensorrt-rtx", out=out, plan=plan)).passport
    floats = {node.name for node in nodes if node.op_type == "ConvTranspose"} | ends_of(names)
    floats |= {node.name for node in nodes if any(a.name == "group" and a.i > 1 for a in node.attribute)}  # depthwise
    floats |= {node.name for node in nodes if node.input[0] in means}  # of a mean over the whole map
    if precision == "int8":
        expected = {name: "fp16" if name in floats else "int8" for name in names}
    else:
        expected = {name: plan.precision_of(name) if plan else precision for name in names}
    built = {layer.name: layer.precision for layer in plan_layers(out.read_bytes()) if layer.type in CONVOLUTIONS}
    assert built == expected
    assert passport.convolutions == len(names)
    assert passport.int8_convolutions == list(expected.values()).count("int8")


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_parser_calls_an_engines_weights_as_the_graph_that_it_was_given(
    precision: Precision, small_onnx: Path, small_table: Path
) -> None:
    """So weights that were left out can only be put back from that graph; the network's own names are others."""
    import tensorrt_rtx as trt

    artifact = load_onnx(small_onnx)
    plan = default_plan(artifact.proto, precision)
    proto = strongly_typed(artifact, CalibrationTable.read(small_table), plan).proto
    logger, typed = error_log(trt).logger, trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED
    network = trt.Builder(logger).create_network(1 << int(typed))
    assert trt.OnnxParser(network, logger).parse(serialize(proto))
    constants = {tensor.name for tensor in proto.graph.initializer}
    read = {name for node in proto.graph.node if node.op_type == "Conv" for name in node.input[1:]}
    read |= {node.input[0] for node in proto.graph.node if node.output[0] in read}  # the levels of an INT8 weight
    wanted = constants & read
    assert len(wanted) == 10
    assert {name for name in wanted if network.mark_weights_refittable(name)} == wanted
    own = {tensor.name for tensor in artifact.proto.graph.initializer} - constants
    assert len(own) == (0 if precision == "fp32" else 10)
    assert not any(network.mark_weights_refittable(name) for name in own)
