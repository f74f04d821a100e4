"""A convolution's weights as INT8 levels: rounded so that errors cancel, and small enough for 16-bit sums of products.

An x86 processor without VNNI multiplies uint8 by int8 in pairs and adds each pair in 16 bits, saturating (VPMADDUBSW,
Intel SDM volume 2C; onnxruntime issue 14642). Two weights of one sign whose sum is `PAIR_LIMIT` or less cannot saturate
there, whatever the activations are, so such a graph gives the same answer on every processor.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

MAX_LEVEL = 127
PAIR_LIMIT = (2**15 - 1) // 255
"""Two products with one uint8 activation each stay within 16 bits where their weights add up to no more than this."""
_GROWTH = 1.0 + 2.0**-9
"""How much a scale grows when its levels, once rounded, still exceed the limit."""

Levels = NDArray[np.float64]
RoundScale = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def weight_levels(
    weight: NDArray[np.float32], smallest_scale: float, round_scale: RoundScale, pair_limit: int | None
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Levels and scales of a weight, one scale an output channel.

    Args:
        weight: float32 [O,I/groups,*kernel].
        smallest_scale: No scale is smaller.
        round_scale: Gives the nearest scales that the graph's type can hold.
        pair_limit: What the two largest levels of one sign in a channel may add up to; None does not limit them.

    Returns:
        int8 of the weight's shape in -127..127, and float64 [O] scales as the graph will hold them.
    """
    rows = weight.reshape(len(weight), -1).astype(np.float64)
    needed = np.abs(rows).max(axis=1, initial=0.0) / MAX_LEVEL
    if pair_limit is not None:
        needed = np.maximum(needed, largest_pair(rows) / pair_limit)
    scale = round_scale(np.maximum(needed, smallest_scale))
    levels = _rounded(weight, scale)
    if pair_limit is not None:
        while (over := largest_pair(levels.reshape(len(levels), -1)) > pair_limit).any():
            scale[over] = round_scale(scale[over] * _GROWTH)
            levels[over] = _rounded(weight[over], scale[over])
    return levels.astype(np.int8), scale


def largest_pair(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest magnitude that two values of one sign add up to, anywhere in each row of [O,K].

    Which weights a kernel pairs is its own affair; what holds for any two holds for its pairs.
    """
    ordered = np.sort(rows, axis=1)
    positive = ordered[:, -2:].clip(min=0).sum(axis=1)
    negative = -ordered[:, :2].clip(max=0).sum(axis=1)
    pairs: NDArray[np.float64] = np.maximum(positive, negative)
    return pairs


def multiplies_pairs(weight_shape: tuple[int, ...], groups: int) -> bool:
    """Tell whether kernels add products of this convolution in pairs; those of a depthwise one work in 32 bits."""
    return not (groups > 1 and weight_shape[1] == 1 and weight_shape[0] == groups)


def _rounded(weight: NDArray[np.float32], scale: NDArray[np.float64]) -> Levels:
    """Round so that the errors of each kernel, then those of each output channel, add up to half a level at most.

    A sum of errors is what a flat patch of the picture sees, and what bias correction would have to make good. It is
    taken away from the levels that were nearest to being rounded the other way (SQuant, Guo et al., ICLR 2022,
    arXiv:2202.07471).
    """
    channels, inputs = weight.shape[:2]
    exact = weight.reshape(channels, inputs, -1).astype(np.float64) / scale[:, np.newaxis, np.newaxis]
    levels = np.rint(exact)
    if exact.shape[2] > 1:
        kernels = levels.reshape(channels * inputs, -1), exact.reshape(channels * inputs, -1)
        _shift(*kernels, (kernels[0] - kernels[1]).sum(axis=1))
    # One level a kernel, so that its own sum stays small: the one whose error agrees most with its channel's.
    surplus = (levels - exact).sum(axis=(1, 2))
    place = np.argmax(np.sign(surplus)[:, np.newaxis, np.newaxis] * (levels - exact), axis=2)[:, :, np.newaxis]
    movable = np.take_along_axis(levels, place, axis=2)[:, :, 0]
    _shift(movable, np.take_along_axis(exact, place, axis=2)[:, :, 0], surplus)
    np.put_along_axis(levels, place, movable[:, :, np.newaxis], axis=2)
    return levels.reshape(weight.shape).clip(-MAX_LEVEL, MAX_LEVEL)


def _shift(levels: Levels, exact: Levels, surplus: NDArray[np.float64]) -> None:
    """Take each row's surplus away by ones, in place, from the levels that are furthest on its side."""
    sign = np.sign(surplus)[:, np.newaxis]
    order = np.argsort(-sign * (levels - exact), axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(levels.shape[1])[np.newaxis], axis=1)
    levels -= sign * (rank < np.rint(np.abs(surplus))[:, np.newaxis])
