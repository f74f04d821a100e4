from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from edgeseg.train.qat.torch_operators import OPERATORS, UnknownFormError

RNG = np.random.default_rng(3)


def drawn(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


LINEAR = {"mode": "linear", "coordinate_transformation_mode": "half_pixel", "nearest_mode": "floor"}
NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
SCALES = np.array([1, 1, 2, 4], np.float32)
X = drawn(2, 4, 6, 8)
Case = tuple[list[np.ndarray | None], dict[str, Any]]
CASES: dict[str, list[Case]] = {
    "Add": [([X, drawn(4, 1, 1)], {})],
    "AveragePool": [
        ([X], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": counted})
        for counted in (0, 1)
    ],
    "BatchNormalization": [([X, drawn(4), drawn(4), drawn(4), drawn(4) ** 2 + 0.1], {"epsilon": 1e-3})],
    "Cast": [([X > 0], {"to": TensorProto.FLOAT}), ([X * 3], {"to": TensorProto.INT32})],
    "Clip": [([X, np.float32(-0.5), np.float32(0.6)], {}), ([X, np.float32(0)], {})],
    "Concat": [([X, drawn(2, 1, 6, 8)], {"axis": 1})],
    "Conv": [
        ([X, drawn(6, 4, 3, 3), drawn(6)], {"pads": [0, 0, 1, 1], "strides": [2, 2]}),
        ([X, drawn(4, 1, 3, 3)], {"group": 4, "pads": [2, 2, 2, 2], "dilations": [2, 2]}),
        ([X, drawn(3, 4, 1, 1)], {}),
    ],
    "ConvTranspose": [
        ([X, drawn(4, 3, 2, 2), drawn(3)], {"strides": [2, 2]}),
        ([X, drawn(4, 2, 3, 3)], {"group": 2, "strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
    ],
    "Div": [([X, drawn(2, 4, 6, 8) ** 2 + 1], {})],
    "Equal": [([np.rint(X), np.rint(drawn(2, 4, 6, 8))], {})],
    "GlobalAveragePool": [([X], {})],
    "HardSigmoid": [([3 * X], {}), ([3 * X], {"alpha": 1 / 6, "beta": 0.5})],
    "HardSwish": [([3 * X], {})],
    "LeakyRelu": [([X], {}), ([X], {"alpha": 0.2})],
    "MaxPool": [
        ([X], {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ([X], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ],
    "Mul": [([X, drawn(2, 4, 6, 8)], {})],
    "ReduceMean": [
        ([X, np.array([2, 3])], {"keepdims": 1}),
        ([X, np.array([-1])], {"keepdims": 0}),
    ],
    "Relu": [([X], {})],
    "Resize": [([X, None, SCALES], LINEAR), ([X, None, SCALES], NEAREST)],
    "Sigmoid": [([X], {})],
    "Sub": [([X, drawn(1, 4, 1, 1)], {})],
    "Transpose": [([X], {"perm": [0, 3, 1, 2]})],
}


def test_every_operator_has_a_case() -> None:
    assert CASES.keys() == OPERATORS.keys()


@pytest.mark.parametrize(("operator", "case"), [(name, case) for name, cases in CASES.items() for case in cases])
def test_an_operator_computes_what_onnx_says(operator: str, case: Case) -> None:
    inputs, attributes = case
    names = ["" if values is None else f"x{index}" for index, values in enumerate(inputs)]
    node = helper.make_node(operator, names, ["y"], **attributes)
    given = {name: np.asarray(values) for name, values in zip(names, inputs, strict=True) if values is not None}
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(values.dtype), values.shape)
        for name, values in given.items()
    ]
    graph = helper.make_graph([node], "one", infos, [helper.make_empty_tensor_value_info("y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, given)
    tensors = [None if values is None else torch.from_numpy(np.array(values)) for values in inputs]
    parsed = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    found = OPERATORS[operator](tensors, parsed).numpy()
    assert found.dtype == expected.dtype and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes"),
    [
        ("Cast", [X], {"to": TensorProto.FLOAT16}),
        ("Conv", [X, drawn(3, 4, 1, 1)], {"auto_pad": b"SAME_UPPER"}),
        ("MaxPool", [X], {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]}),
        ("ReduceMean", [X], {}),
        ("Resize", [X, None, SCALES], {**LINEAR, "coordinate_transformation_mode": b"align_corners"}),
        ("Resize", [X, None, np.array([], np.float32), np.array([2, 4, 9, 9])], NEAREST),
    ],
)
def test_other_forms_are_not_computed(operator: str, inputs: list[Any], attributes: dict[str, Any]) -> None:
    tensors = [None if values is None else torch.from_numpy(np.array(values)) for values in inputs]
    with pytest.raises(UnknownFormError, match=r"\w"):
        OPERATORS[operator](tensors, attributes)
