import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import numpy_helper

from edgeseg.errors import BadInputError
from edgeseg.graph.onnx_files import OnnxArtifact, serialize
from edgeseg.graph.weights import (
    to_fp16,
    weights_sha256,
    with_float32_weights,
    with_fp16_stored_weights,
)


def test_fp16_storage_halves_the_file_and_keeps_the_contract_cast_first(small_artifact: OnnxArtifact) -> None:
    small = with_fp16_stored_weights(small_artifact.proto)
    onnx.checker.check_model(small, full_check=True)
    assert small.graph.node[0].op_type == "Cast"
    assert small.graph.node[0].input[0] == "frame"
    stored = [t for t in small.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    assert {t.name for t in stored} == {f"{name}.weight.fp16" for name in ("stem", "down", "residual", "up")}
    assert len(serialize(small)) < len(serialize(small_artifact.proto))


def test_expanding_gives_the_rounded_float32_weights(small_artifact: OnnxArtifact) -> None:
    expanded = with_float32_weights(with_fp16_stored_weights(small_artifact.proto))
    before = {t.name: numpy_helper.to_array(t) for t in small_artifact.proto.graph.initializer}
    after = {t.name: numpy_helper.to_array(t) for t in expanded.graph.initializer}
    assert before.keys() == after.keys()
    for name, values in before.items():
        expected = values.astype(np.float16).astype(np.float32) if values.size >= 64 else values
        assert after[name].dtype == values.dtype
        np.testing.assert_array_equal(after[name], expected)
    assert [n.op_type for n in expanded.graph.node] == [n.op_type for n in small_artifact.proto.graph.node]


def test_the_hash_names_values_not_storage_or_order(small_artifact: OnnxArtifact) -> None:
    rounded = with_float32_weights(with_fp16_stored_weights(small_artifact.proto))
    again = with_float32_weights(with_fp16_stored_weights(rounded))
    shuffled = onnx.ModelProto()
    shuffled.CopyFrom(rounded)
    tensors = list(reversed(rounded.graph.initializer))
    del shuffled.graph.initializer[:]
    shuffled.graph.initializer.extend(tensors)
    assert weights_sha256(rounded) == weights_sha256(again) == weights_sha256(shuffled)
    assert weights_sha256(rounded) != weights_sha256(small_artifact.proto)


@given(hnp.arrays(np.float32, hnp.array_shapes(max_dims=2, max_side=5), elements=st.floats(-65000, 65000, width=32)))
def test_rounding_to_fp16_stays_within_half_a_step(values: np.ndarray) -> None:
    rounded = to_fp16(values, "w").astype(np.float32)
    step = np.maximum(np.abs(values) * 2.0**-10, 2.0**-24)
    assert (np.abs(rounded - values) <= step / 2).all()


def test_a_weight_beyond_fp16_is_named() -> None:
    with pytest.raises(BadInputError, match=r"decoder\.weight") as caught:
        to_fp16(np.array([1.0, 70000.0], np.float32), "decoder.weight")
    assert caught.value.found == "a magnitude of 7e+04"
