"""A known answer before the first frame: whether ONNX Runtime's INT8 kernels compute rightly on this processor.

Kernels are chosen by what the processor has, and some have been wrong (onnxruntime issue 26324: AMX and AVX-VNNI, fixed
by pull request 27671 of March 2026). One small quantised network, whose answer integer arithmetic gives, tells.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeseg.calibration.weight_levels import MAX_LEVEL, PAIR_LIMIT
from edgeseg.errors import MissingComponentError
from edgeseg.optional import require

ONE_LEVEL = 1
"""The levels by which rounding a sum to uint8 may differ."""


@dataclass(frozen=True)
class Layer:
    """One convolution of the known network."""

    name: str
    """The kernels that it reaches, as an error names them."""
    inputs: int
    outputs: int
    height: int
    width: int
    kernel: int = 1
    groups: int = 1
    largest_weight: int = PAIR_LIMIT // 2

    @property
    def depth(self) -> int:
        """The number of products in one sum."""
        return self.inputs // self.groups * self.kernel**2


LAYERS = (
    Layer("rows in twos to sixes, as AVX-VNNI takes them", 32, 16, 1, 5),
    Layer("tiles of 32 rows, as AMX takes them", 64, 48, 5, 13),
    Layer("a 3x3 kernel over 8 channels", 8, 24, 6, 7, 3),
    Layer("odd numbers of channels", 17, 33, 3, 7),
    Layer("the three channels of a picture", 3, 5, 6, 6, 3),
    Layer("two groups", 8, 8, 4, 5, 3, 2),
    Layer("depthwise", 16, 16, 6, 5, 3, 16, MAX_LEVEL),
)
PAIRS = Layer("pairs beyond 16 bits", 16, 8, 4, 4, largest_weight=MAX_LEVEL)
"""Pairs of weights that a processor without VNNI saturates; no engine of edgeseg holds such pairs."""


@dataclass(frozen=True)
class KernelReport:
    """The findings of one run of the known network."""

    wrong: tuple[str, ...]
    """The layers whose answer is not the known one, with how far it is off."""
    saturates: bool
    """True if sums of two products saturate at 16 bits here: x86 without VNNI."""


def check_int8_kernels() -> None:
    """Refuse INT8 where its kernels are wrong; a few milliseconds, once a process.

    Raises:
        MissingComponentError: They are wrong.
    """
    report = examine_int8_kernels()
    if report.wrong:
        raise MissingComponentError(
            f"ONNX Runtime {require('onnxruntime').__version__} computes INT8 wrongly on this processor",
            found="; ".join(report.wrong),
            expected="the answers of integer arithmetic (onnxruntime issue 26324)",
            next_command="pip install --upgrade onnxruntime",
        )


@functools.cache
def examine_int8_kernels() -> KernelReport:
    """Run the known network and judge its answers."""
    layers = (*LAYERS, PAIRS)
    operands = [_operands(layer) for layer in layers]
    onnxruntime = require("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    network = _network(layers, operands)
    session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    answers = session.run(None, {f"x{index}": levels for index, (levels, _) in enumerate(operands)})
    return judge([np.asarray(answer) for answer in answers])


def judge(answers: list[NDArray[np.uint8]]) -> KernelReport:
    """Hold the answers of all layers, the saturating one last, against integer arithmetic."""
    wrong = []
    *errors, pairs = (_largest_error(layer, answer) for layer, answer in zip((*LAYERS, PAIRS), answers, strict=True))
    for layer, error in zip(LAYERS, errors, strict=True):
        if error > ONE_LEVEL:
            wrong.append(f"{layer.name}: off by up to {error} of 255 levels")
    return KernelReport(tuple(wrong), pairs > ONE_LEVEL)


def _largest_error(layer: Layer, answer: NDArray[np.uint8]) -> int:
    return int(np.abs(answer.astype(np.int64) - expected(layer)).max())


def expected(layer: Layer) -> NDArray[np.int64]:
    """Compute the layer's answer in exact arithmetic: [1,O,h,w], 0..255."""
    levels, weight = _operands(layer)
    windows = np.lib.stride_tricks.sliding_window_view(levels[0], (layer.kernel, layer.kernel), axis=(1, 2))
    height, width = windows.shape[1:3]
    split = windows.reshape(layer.groups, -1, height * width, layer.kernel**2).transpose(0, 1, 3, 2)
    columns = split.reshape(layer.groups, layer.depth, -1).astype(np.float64)
    # Sums stay far below 2^53, so that float64 holds them exactly.
    sums = weight.reshape(layer.groups, -1, layer.depth).astype(np.float64) @ columns
    scaled = np.rint(sums.reshape(1, layer.outputs, height, width) * _factor(layer))
    answer: NDArray[np.int64] = np.clip(scaled + 128, 0, 255).astype(np.int64)
    return answer


def _operands(layer: Layer) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """Make an input [1,I,H,W] with many levels of 255, and weights, many as large as they may be."""
    generator = np.random.default_rng(layer.depth + layer.outputs)
    sides = (1, layer.inputs, layer.height, layer.width)
    levels = np.array([255, 254, 128, 3], np.uint8)[generator.integers(0, 4, sides)]
    sides = (layer.outputs, layer.inputs // layer.groups, layer.kernel, layer.kernel)
    largest = layer.largest_weight
    magnitude = np.array([largest, largest // 2, 1], np.int8)[generator.integers(0, 3, sides)]
    # Each channel has one sign, so that sums are large and pairs add up.
    sign = np.where(np.arange(layer.outputs) % 2, -1, 1).astype(np.int8)
    return levels, magnitude * sign.reshape(-1, 1, 1, 1)


def _factor(layer: Layer) -> float:
    """Compute the factor that brings the largest sum to the last level, beside a zero point of 128."""
    return float(np.float32(127.0 / (255 * layer.largest_weight * layer.depth)))


def _network(layers: tuple[Layer, ...], operands: list[tuple[Any, Any]]) -> bytes:
    helper, from_array, kind = onnx.helper, onnx.numpy_helper.from_array, onnx.TensorProto.UINT8
    constants = [
        from_array(np.array(1, np.float32), "one"),
        from_array(np.array(0, np.uint8), "x_zero"),
        from_array(np.array(0, np.int8), "w_zero"),
        from_array(np.array(128, np.uint8), "y_zero"),
    ]
    nodes, inputs, outputs = [], [], []
    for index, (layer, (levels, weight)) in enumerate(zip(layers, operands, strict=True)):
        constants += [from_array(weight, f"w{index}"), from_array(np.array(_factor(layer), np.float32), f"s{index}")]
        names = [f"x{index}", "one", "x_zero", f"w{index}", f"s{index}", "w_zero", "one", "y_zero"]
        nodes.append(helper.make_node("QLinearConv", names, [f"y{index}"], group=layer.groups))
        inputs.append(helper.make_tensor_value_info(f"x{index}", kind, levels.shape))
        outputs.append(helper.make_tensor_value_info(f"y{index}", kind, None))
    graph = helper.make_graph(nodes, "known", inputs, outputs, constants)
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 19)])
    return bytes(model.SerializeToString())
