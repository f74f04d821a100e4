"""The rules of placement on networks drawn at random, against numpy that knows nothing of Q/DQ."""

from collections.abc import Callable
from itertools import product

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator
from scipy.signal import correlate

from edgeseg.calibration.fp16 import with_fp16_convolutions
from edgeseg.calibration.placement import activations
from edgeseg.graph.onnx_files import OnnxArtifact
from tests.calibration.drawn_networks import CHANNELS, SIZE, all_int8, started, table_of

Values = NDArray[np.float64]


@st.composite
def networks(draw: st.DrawFn) -> tuple[OnnxArtifact, dict[str, int], frozenset[str]]:
    """A network of residual additions and concatenations, exponents of its scales, and its float convolutions."""
    network, maps = started(draw(st.integers(0, 99))), ["stem"]
    one = lambda: draw(st.sampled_from(maps))  # noqa: E731
    for index in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(["conv", "3x3", "add", "residual", "join", "relu"]))
        if kind in ("conv", "3x3"):
            maps.append(network.conv(one(), f"{kind}{index}", kernel=3 if kind == "3x3" else 1))
        elif kind == "residual":
            source = one()
            maps.append(network.add("Add", [network.conv(source, f"branch{index}"), source], f"residual{index}"))
        elif kind == "add":
            maps.append(network.add("Add", [one(), one()], f"sum{index}"))
        elif kind == "relu":
            maps.append(network.add("Relu", [one()], f"relu{index}"))
        else:
            network.add("Concat", [one(), one()], f"join{index}", axis=1)
            maps.append(network.conv(f"join{index}", f"joined{index}", before=2 * CHANNELS))
    network.conv(maps[-1], "last")
    artifact = network.artifact()
    exponents = {name: draw(st.integers(-4, 0)) for name in activations(artifact.proto)}
    names = [node.name for node in artifact.proto.graph.node if node.op_type == "Conv"]
    return artifact, exponents, frozenset(name for name in names if draw(st.integers(0, 3)) == 0)


def fake_quantised(values: Values, exponent: int) -> Values:
    scale = 2.0**exponent
    rounded: Values = np.rint(values / scale).clip(-128, 127) * scale
    return rounded


def computed_by_numpy(proto: onnx.ModelProto, exponents: dict[str, int], is_float: frozenset[str]) -> Values:
    """The network under the rules, from their definition: float64, one map [C,H,W] after the other."""
    constants = {tensor.name: numpy_helper.to_array(tensor).astype(np.float64) for tensor in proto.graph.initializer}
    read_int8 = {n.input[0] for n in proto.graph.node if n.op_type == "Conv" and n.name not in is_float}
    shared = dict(exponents)
    joins = [node for node in proto.graph.node if node.op_type == "Concat" and node.output[0] in read_int8]
    for _, node in product(range(len(joins)), joins):
        together = [name for name in (*node.input, node.output[0]) if name in read_int8]
        shared |= dict.fromkeys(together, max(shared[name] for name in together))
    values = {"planes": FRAME.astype(np.float64).transpose(2, 0, 1)}
    compute: dict[str, Callable[..., Values]] = {
        "Add": np.add,
        "Relu": lambda x: np.maximum(x, 0),
        "Neg": np.negative,
        "Concat": lambda *maps: np.concatenate(maps),
    }
    for node in proto.graph.node[2:]:
        rounds = (node.op_type == "Conv" and node.name not in is_float) or node.op_type == "Add"
        data = [
            fake_quantised(values[name], shared[name]) if rounds and name in read_int8 else values[name]
            for name in node.input
            if name in values
        ]
        if node.op_type == "Conv":
            weight, bias = (constants[name] for name in node.input[1:])
            padded = np.pad(data[0], [(0, 0), *[(weight.shape[2] // 2,) * 2] * 2])
            sums = [correlate(padded, kernel, "valid", "direct")[0] for kernel in weight]
            values[node.output[0]] = np.stack(sums) + bias[:, None, None]
        else:
            values[node.output[0]] = compute[node.op_type](*data)
    return values["probability"]


FRAME = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


@settings(max_examples=40)
@given(networks())
def test_the_graph_computes_the_fake_quantisation_that_the_rules_define(
    drawn: tuple[OnnxArtifact, dict[str, int], frozenset[str]],
) -> None:
    artifact, exponents, is_float = drawn
    proto = all_int8(artifact, table_of(artifact, exponents), **dict.fromkeys(is_float, "fp16"))
    (got,) = ReferenceEvaluator(proto).run(None, {"frame": FRAME[np.newaxis]})
    expected = computed_by_numpy(artifact.proto, exponents, is_float)
    np.testing.assert_allclose(got[0], expected, rtol=1e-6, atol=1e-4)


@settings(max_examples=25)
@given(networks())
def test_the_strongly_typed_graph_has_fp16_between_quantised_layers(
    drawn: tuple[OnnxArtifact, dict[str, int], frozenset[str]],
) -> None:
    artifact, exponents, is_float = drawn
    half = with_fp16_convolutions(all_int8(artifact, table_of(artifact, exponents), **dict.fromkeys(is_float, "fp16")))
    onnx.checker.check_model(half, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(half, strict_mode=True).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*inferred.value_info, *inferred.input, *inferred.output)}
    types |= {tensor.name: tensor.data_type for tensor in inferred.initializer}
    for node in half.graph.node:
        if node.op_type == "QuantizeLinear":
            assert [types[name] for name in (node.input[0], node.input[1])] == [TensorProto.FLOAT16] * 2
            assert types[node.output[0]] == TensorProto.INT8
        elif node.op_type in ("Conv", "Add", "Concat"):
            assert {types[name] for name in node.input} == {TensorProto.FLOAT16}
