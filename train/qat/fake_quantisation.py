"""Rounding to INT8 levels and back, with gradients that pass straight through the rounding.

Straight-through gradients: Jacob et al., 2018, arXiv:1712.05877. Learned ranges: LSQ, Esser et al., 2020,
arXiv:1902.08153, here in the logarithm of the range, which keeps it positive and its steps relative.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgeseg.artifacts import Range
from edgeseg.calibration.qdq_style import QdqStyle
from edgeseg.calibration.quantise import activation_quantisation, quantise_weight


def fake_quantised(x: Tensor, log_amax: Tensor, observed: Range, style: QdqStyle) -> Tensor:
    """Round an activation as QuantizeLinear and DequantizeLinear do.

    The gradient passes where a value is within the levels and ends where it is clipped; the range gets LSQ's.

    Args:
        x: float32 of any shape.
        log_amax: float32, scalar; takes the gradient of the range's logarithm. Its value is not read.
        observed: The tensor's range; the exporter's own rule makes scale and zero point of it.
        style: What the backend wants.
    """
    chosen = activation_quantisation(observed, style)
    scale = float(np.asarray(chosen.scale, style.scale_dtype).astype(np.float32))
    limits, zero = np.iinfo(chosen.zero.dtype), int(chosen.zero)
    result: Tensor = _Rounded.apply(x, log_amax, scale, limits.min - zero, limits.max - zero)  # type: ignore[no-untyped-call]
    return result


def fake_quantised_weight(weight: Tensor, style: QdqStyle, groups: int) -> Tensor:
    """Round a weight as the exporter stores it, in float32; the gradient passes as it is.

    Args:
        weight: float32 [O,I/groups,kH,kW].
        style: Rounds the scales, and limits the sums of pairs.
        groups: The convolution's groups.
    """
    levels, scale = quantise_weight(weight.detach().cpu().contiguous().numpy(), style, groups)
    stored = levels.astype(np.float32) * scale.reshape(-1, *(1,) * (weight.ndim - 1))
    result: Tensor = _Replaced.apply(weight, torch.from_numpy(stored).to(weight))  # type: ignore[no-untyped-call]
    return result


class _Rounded(torch.autograd.Function):
    """scale * clamp(round(x / scale)), rounding half to even as ONNX does."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, log_amax: Tensor, scale: float, low: int, high: int) -> Tensor:
        exact = x / scale
        result = exact.round().clamp_(low, high).mul_(scale)
        ctx.save_for_backward(x, result, (exact >= low) & (exact <= high))
        # LSQ, section 2.2: without it a range, which every value pulls at, would outrun the weights.
        ctx.share = (x.numel() * high) ** -0.5
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, result, inside = ctx.saved_tensors
        passed = gradients[0] * inside
        # d result / d log(scale) is the rounding error inside and the clipped value outside.
        pull = (gradients[0] * result - passed * x).sum() * ctx.share
        return passed, pull, None, None, None


class _Replaced(torch.autograd.Function):
    """The second argument, with the gradient going to the first."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, stored: Tensor) -> Tensor:
        return stored

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return gradients[0], None
