"""Depthwise convolutions whose gradients are computed fast in bf16 on a CPU.

PyTorch hands the gradients of a depthwise convolution to oneDNN. In bf16 oneDNN (3.12) is fast at some of them, and
tens of times slower than at the forward pass for the weights of kernels larger than 3x3 and for the input behind a
stride. Both are put together here from operations that it is fast at.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FAST_WEIGHT_KERNEL = 3
"""Largest kernel whose weight gradients oneDNN computes fast in bf16."""


def depthwise_conv2d(x: Tensor, weight: Tensor, stride: int, padding: int = 0) -> Tensor:
    """`conv2d` with one filter per channel and no bias; gradients in bf16 on a CPU take the fast way.

    Args:
        x: float [N,C,H,W].
        weight: float [C,1,k,k].
        stride: Of both axes.
        padding: Zeros at all four edges.

    Returns:
        float [N,C,Ho,Wo], in autocast's dtype where that is on.
    """
    if not torch.is_grad_enabled() or x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return F.conv2d(x, weight, None, stride, padding, 1, len(weight))
    dtype = torch.get_autocast_dtype("cpu")
    output: Tensor = _DepthwiseGradients.apply(x.to(dtype), weight.to(dtype), stride, padding)  # type: ignore[no-untyped-call]
    return output


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution, `nn.Conv2d` with as many groups as channels, whose gradients take the fast way.

    Args:
        channels: Of input and output.
        kernel_size: Height and width of each filter, odd; the output is as large as the input, but for the stride.
        stride: Of both axes.
        dilation: Of both axes; above 1 the gradients are PyTorch's own.
    """

    def __init__(self, channels: int, kernel_size: int, stride: int = 1, dilation: int = 1) -> None:
        padding = dilation * (kernel_size // 2)
        super().__init__(channels, channels, kernel_size, stride, padding, dilation, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Run the convolution: [N,C,H,W] -> [N,C,H/stride,W/stride]."""
        if self.dilation != (1, 1):
            return super().forward(x)
        return depthwise_conv2d(x, self.weight, self.stride[0], int(self.padding[0]))


class _DepthwiseGradients(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding, 1, len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        for_x = for_weight = None
        if ctx.needs_input_grad[0]:
            for_x = input_gradient(gradient, weight, x.shape[2:], ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            for_weight = weight_gradient(gradient, x, weight, ctx.stride, ctx.padding)
        return for_x, for_weight, None, None


def input_gradient(gradient: Tensor, weight: Tensor, size_px: tuple[int, int], stride: int, padding: int) -> Tensor:
    """The gradient of a depthwise convolution's input.

    Behind a stride s, the rows and columns of one remainder modulo s see the taps of the same remainder alone: a
    convolution without a stride, by a part of the kernel, for each of the s*s pairs of remainders.

    Args:
        gradient: float [N,C,Ho,Wo], of the output.
        weight: float [C,1,k,k].
        size_px: Height and width of the input.
        stride: Of both axes.
        padding: Zeros at all four edges.

    Returns:
        float [N,C,H,W].
    """
    channels, kernel = len(weight), weight.shape[-1]
    if stride == 1:
        return F.conv2d(gradient, weight.flip(2, 3), None, 1, kernel - 1 - padding, 1, channels)
    height, width = (size + 2 * padding for size in size_px)
    padded = torch.empty(
        (len(gradient), channels, height, width), dtype=gradient.dtype, memory_format=torch.channels_last
    )
    for row, column in itertools.product(range(stride), repeat=2):
        taps = weight[:, :, row::stride, column::stride].flip(2, 3)
        part = padded[:, :, row::stride, column::stride]
        if not taps.numel():
            part.zero_()
            continue
        reach = (taps.shape[2] - 1, taps.shape[3] - 1)
        seen = F.conv2d(gradient, taps, None, 1, reach, 1, channels)[:, :, : part.shape[2], : part.shape[3]]
        part[:, :, : seen.shape[2], : seen.shape[3]] = seen
        part[:, :, seen.shape[2] :].zero_()
        part[:, :, :, seen.shape[3] :].zero_()
    return padded[:, :, padding : padding + size_px[0], padding : padding + size_px[1]]


def weight_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """The gradient of a depthwise convolution's weights; each tap of a large kernel is a product and a sum.

    Picture by picture, so that what is read for each of the taps stays in the cache.

    Args:
        gradient: float [N,C,Ho,Wo], of the output, channels last.
        x: float [N,C,H,W], the input.
        weight: float [C,1,k,k].
        stride: Of both axes.
        padding: Zeros at all four edges.

    Returns:
        float [C,1,k,k].
    """
    channels, kernel = len(weight), weight.shape[-1]
    if kernel <= FAST_WEIGHT_KERNEL:
        arguments = ([stride] * 2, [padding] * 2, [1, 1], False, [0, 0], channels, [False, True, False])
        native: Tensor = torch.ops.aten.convolution_backward(gradient, x, weight, None, *arguments)[1]
        return native
    rows = [_overlap(tap - padding, x.shape[2], gradient.shape[2], stride) for tap in range(kernel)]
    columns = [_overlap(tap - padding, x.shape[3], gradient.shape[3], stride) for tap in range(kernel)]
    sums = x.new_empty((len(x), kernel * kernel, channels))
    pictures = zip(gradient.permute(0, 2, 3, 1), x.permute(0, 2, 3, 1), sums, strict=True)
    for of_output, of_input, of_taps in pictures:
        for (row, column), tap in zip(itertools.product(rows, columns), of_taps, strict=True):
            product = of_output[row[0], column[0]] * of_input[row[1], column[1]]
            torch.sum(product.flatten(0, 1), 0, out=tap)
    exact = torch.promote_types(sums.dtype, torch.float32)
    return sums.sum(dim=0, dtype=exact).t().reshape(weight.shape).to(weight.dtype)


def _overlap(offset: int, input_px: int, output_px: int, stride: int) -> tuple[slice, slice]:
    """The outputs and the inputs, as slices, for which a tap that reads `stride * position + offset` stays inside."""
    first = max(0, -(offset // stride))
    last = max(first, min(output_px, (input_px - 1 - offset) // stride + 1))
    begin = stride * first + offset
    return slice(first, last), slice(begin, begin + max(0, stride * (last - first - 1) + 1), stride)
