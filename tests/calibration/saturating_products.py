"""Tests of what a processor without VNNI makes of a uint8 x int8 convolution, in numpy: the oracle for graphs.

VPMADDUBSW multiplies neighbours of the sum over [kernel height, kernel width, channel], adds each pair and saturates it
to 16 bits (Intel SDM volume 2C); VPMADDWD and VPADDD go on in 32 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

INT16 = np.iinfo(np.int16)


def patches(levels: NDArray[np.uint8], kernel: tuple[int, int], strides: tuple[int, int]) -> NDArray[np.int64]:
    """uint8 [C,H,W] without padding -> int64 [places, kH*kW*C], in the kernels' order."""
    windows = np.lib.stride_tricks.sliding_window_view(levels, kernel, axis=(1, 2))[:, :: strides[0], :: strides[1]]
    return windows.transpose(1, 2, 3, 4, 0).reshape(windows.shape[1] * windows.shape[2], -1).astype(np.int64)


def rows_of(weight: NDArray[np.int8]) -> NDArray[np.int64]:
    """int8 [O,I,kH,kW] -> int64 [O, kH*kW*I], in the kernels' order."""
    return weight.transpose(0, 2, 3, 1).reshape(len(weight), -1).astype(np.int64)


def exact_sums(columns: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """[places, O], as with VNNI."""
    sums: NDArray[np.int64] = columns @ rows.T
    return sums


def saturated_sums(columns: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """[places, O], as without VNNI."""
    odd = columns.shape[1] % 2
    columns, rows = (np.pad(side, ((0, 0), (0, odd))) for side in (columns, rows))
    pairs = columns[:, np.newaxis, 0::2] * rows[np.newaxis, :, 0::2] + columns[:, np.newaxis, 1::2] * rows[:, 1::2]
    sums: NDArray[np.int64] = pairs.clip(INT16.min, INT16.max).sum(axis=2)
    return sums


def worst_columns(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The activations that drive each channel's pairs furthest: 255 where the weight has one sign, else 0."""
    return np.concatenate([np.where(rows > 0, 255, 0), np.where(rows < 0, 255, 0), np.full((1, rows.shape[1]), 255)])


def quantised_convolutions(proto: Any) -> dict[str, tuple[NDArray[np.int8], int]]:
    """Name -> (weight levels [O,I/g,kH,kW], groups) of every convolution of a Q/DQ graph that reads INT8 operands."""
    from onnx import numpy_helper

    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    makers = {node.output[0]: node for node in proto.graph.node}
    found = {}
    for node in proto.graph.node:
        operands = [makers.get(name) for name in node.input[:2]]
        if node.op_type != "Conv" or any(maker is None or maker.op_type != "DequantizeLinear" for maker in operands):
            continue
        data, weight = operands
        assert constants[weight.input[2]].max(initial=0) == constants[weight.input[2]].min(initial=0) == 0
        assert constants[data.input[2]].dtype == np.uint8
        groups = next((item.i for item in node.attribute if item.name == "group"), 1)
        found[node.name] = constants[weight.input[0]], groups
    return found
