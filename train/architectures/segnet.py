"""SegNet (Badrinarayanan et al., 2017, arXiv:1511.00561): the decoder puts values back where the maximum was.

Neither ONNX nor TensorRT computes PyTorch's MaxUnpool2d. Here a mask keeps the position of each window's maximum, and
unpooling enlarges by nearest neighbour and multiplies by the mask: max pooling, enlarging, comparing and multiplying
are all that an exported graph needs.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.train.architectures.blocks import ConvBlock, double
from edgeseg.train.model_recipe import ModelRecipe

WIDTHS = (1, 2, 4, 8, 8)
"""Channels of the levels as multiples of the base width; the paper's is 64, that of VGG-16."""
CONVOLUTIONS = (2, 2, 3, 3, 3)
"""Convolutions of each level, as in VGG-16."""


class SegNet(nn.Module):
    """SegNet: the 13 convolutions of VGG-16, and the same number back, joined by positions of maxima alone.

    Args:
        base_width: Channels of the first level.
        out_channels: Channels of the logits.
    """

    def __init__(self, base_width: int = 16, out_channels: int = 1) -> None:
        super().__init__()
        widths = [base_width * width for width in WIDTHS]
        self.encoder = nn.ModuleList(
            _convolutions([before, *[width] * count])
            for before, width, count in zip([3, *widths[:-1]], widths, CONVOLUTIONS, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.decoder = nn.ModuleList(
            _convolutions([*[width] * count, after])
            for after, width, count in zip([*widths[-2::-1], base_width], widths[::-1], CONVOLUTIONS[::-1], strict=True)
        )
        self.head = nn.Conv2d(base_width, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Run the network: float32 [N,3,H,W], normalised, H and W multiples of 32 -> logits [N,C,H,W]."""
        positions: list[Tensor] = []
        for level in self.encoder:
            x = level(x)
            pooled = self.pool(x)
            positions.append(first_maxima(x, pooled))
            x = pooled
        for level in self.decoder:
            x = level(max_unpool(x, positions.pop()))
        logits: Tensor = self.head(x)
        return logits


def first_maxima(x: Tensor, pooled: Tensor) -> Tensor:
    """Mark in each 2x2 window the first value, row by row, that equals the window's maximum.

    PyTorch's max pooling names the first of equal values, too. After a ReLU whole windows of zeros are common, so ties
    are the rule and no exception: among the marked ones the highest rank wins, and ranks fall from 4 to 1.

    Args:
        x: float [N,C,H,W], H and W even, finite.
        pooled: float [N,C,H/2,W/2], the maxima of its windows.

    Returns:
        float [N,C,H,W] of 0 and 1, a single 1 in each window.
    """
    ranks = torch.tensor([[4.0, 3.0], [2.0, 1.0]], dtype=x.dtype, device=x.device)
    ranks = ranks.repeat(x.shape[2] // 2, x.shape[3] // 2)
    ranked = (x == double(pooled)).to(x.dtype) * ranks
    return (ranked == double(F.max_pool2d(ranked, 2))).to(x.dtype)


def max_unpool(x: Tensor, positions: Tensor) -> Tensor:
    """Put values back where the maxima were, and 0 elsewhere, as MaxUnpool2d does: [N,C,H,W] -> [N,C,2H,2W].

    Args:
        x: float [N,C,H,W].
        positions: float [N,C,2H,2W], of `first_maxima`.
    """
    return double(x) * positions


def _convolutions(channels: list[int]) -> nn.Sequential:
    return nn.Sequential(*(ConvBlock(before, after) for before, after in pairwise(channels)))


def from_recipe(recipe: ModelRecipe) -> SegNet:
    """The network as a recipe describes it."""
    return SegNet(recipe.base_width, recipe.out_channels)
