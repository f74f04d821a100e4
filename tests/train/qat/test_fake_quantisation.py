import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgeseg.artifacts import Range
from edgeseg.calibration.qdq_style import ONNXRUNTIME_STYLE, TENSORRT_STYLE, QdqStyle
from edgeseg.calibration.quantise import quantise_weight
from edgeseg.calibration.weight_levels import PAIR_LIMIT, largest_pair
from edgeseg.train.qat.fake_quantisation import fake_quantised, fake_quantised_weight

STYLES = st.sampled_from([ONNXRUNTIME_STYLE, TENSORRT_STYLE])
LEVELS = {
    # smallest level, largest level, levels a range: signed in both styles, unsigned in the CPU's alone
    (ONNXRUNTIME_STYLE, False): (-128, 127, 127),
    (ONNXRUNTIME_STYLE, True): (0, 255, 255),
    (TENSORRT_STYLE, False): (-128, 127, 127),
    (TENSORRT_STYLE, True): (-128, 127, 127),
}


def seen(amax: float, positive: bool) -> Range:
    return Range(minimum=0.0 if positive else -amax, maximum=amax, amax=amax)


def rounded_by_onnx(x: np.ndarray, scale: float, zero: int, unsigned: bool) -> np.ndarray:
    dtype = np.uint8 if unsigned else np.int8
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["levels"]),
        helper.make_node("DequantizeLinear", ["levels", "scale", "zero"], ["y"]),
    ]
    tensors = [
        numpy_helper.from_array(np.float32(scale), "scale"),
        numpy_helper.from_array(np.asarray(zero, dtype), "zero"),
    ]
    graph = helper.make_graph(
        nodes,
        "rounding",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, {"x": x})[0]
    return result


@given(
    values=st.lists(st.floats(-200, 200, width=32), min_size=1, max_size=40),
    amax=st.floats(0.05, 100),
    positive=st.booleans(),
    style=STYLES,
)
def test_an_activation_is_rounded_as_onnx_rounds_it(
    values: list[float], amax: float, positive: bool, style: QdqStyle
) -> None:
    low, _, count = LEVELS[style, positive]
    x = np.array(values, np.float32)
    scale = float(np.asarray(amax / count, style.scale_dtype))
    zero = 0 if not style.uint8_activations or positive else 128
    expected = rounded_by_onnx(x, scale, zero, style.uint8_activations)
    found = fake_quantised(torch.from_numpy(x), torch.zeros(()), seen(amax, positive), style)
    np.testing.assert_array_equal(found.numpy(), expected)
    assert low <= round(float(found.min()) / scale)


@given(seed=st.integers(0, 2**16), amax=st.floats(0.3, 3), positive=st.booleans(), style=STYLES)
def test_gradients_are_those_of_the_function_with_its_rounding_errors_held(
    seed: int, amax: float, positive: bool, style: QdqStyle
) -> None:
    """A straight-through estimator is defined by that: x + error inside the range, the last level outside.

    Its finite differences, by x and by the logarithm of the range, are what backward must give.
    """
    rng = np.random.default_rng(seed)
    low, high, count = LEVELS[style, positive]
    scale = float(np.float32(np.asarray(amax / count, style.scale_dtype)))
    x = (rng.normal(0, 1.2, 50)).astype(np.float32)
    x = x[np.abs(np.abs(x / scale) - 127.0) > 1]  # a finite step must not cross the end of the range
    x = x[(np.abs(x / scale - 255.0) > 1) & (np.abs(x / scale + 128.0) > 1) & (np.abs(x) > 0.02)]
    pull = rng.normal(0, 1, x.shape)
    wide, exact = x.astype(np.float64), np.float32(x) / np.float32(scale)
    errors = np.rint(exact).astype(np.float64) - wide / scale  # in levels

    def held(values: np.ndarray, factor: float) -> float:
        s = scale * factor
        inside = (exact >= low) & (exact <= high)
        return float((pull * np.where(inside, values + s * errors, s * np.clip(np.rint(exact), low, high))).sum())

    ours, log_amax = torch.from_numpy(x).requires_grad_(), torch.zeros((), requires_grad=True)
    (fake_quantised(ours, log_amax, seen(amax, positive), style) * torch.from_numpy(pull).float()).sum().backward()
    step = 1e-5
    by_range = (held(wide, np.exp(step)) - held(wide, np.exp(-step))) / (2 * step)
    share = (len(x) * high) ** -0.5  # LSQ, section 2.2
    assert ours.grad is not None and log_amax.grad is not None
    assert float(log_amax.grad) == pytest.approx(by_range * share, rel=2e-3, abs=2e-5)
    for index in range(len(x)):
        moved = wide.copy()
        moved[index] += step
        assert float(ours.grad[index]) == pytest.approx((held(moved, 1) - held(wide, 1)) / step, rel=1e-3, abs=1e-5)


@given(
    seed=st.integers(0, 2**16),
    shape=st.sampled_from([(4, 3, 3, 3), (6, 8, 1, 1), (8, 1, 5, 5)]),
    style=STYLES,
)
def test_a_weight_is_what_the_exporter_stores(seed: int, shape: tuple[int, int, int, int], style: QdqStyle) -> None:
    torch.manual_seed(seed)
    weight, groups = torch.randn(shape).requires_grad_(), shape[0] if shape[1] == 1 else 1
    found = fake_quantised_weight(weight, style, groups)
    levels, scale = quantise_weight(weight.detach().numpy(), style, groups)
    expected = levels.astype(np.float32) * scale.reshape(-1, 1, 1, 1)
    np.testing.assert_array_equal(found.detach().numpy(), expected)
    pull = torch.randn(shape)
    (found * pull).sum().backward()
    assert weight.grad is not None
    assert torch.equal(weight.grad, pull)
    if style.pair_limit is not None and groups == 1:
        rows = (found.detach().numpy() / scale.reshape(-1, 1, 1, 1)).reshape(shape[0], -1)
        assert (np.rint(largest_pair(rows.astype(np.float64))) <= PAIR_LIMIT).all()
