"""A block that lets the deepest features see the whole picture."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeseg.train.architectures.blocks import ConvBlock, DepthwiseBlock

DILATIONS = (1, 2, 3)
"""Small, since the deepest map has 7 to 11 positions a side: larger ones would read mostly padding."""


class PyramidContext(nn.Module):
    """Depthwise convolutions at several dilations beside each other, and the mean of the whole map.

    After atrous spatial pyramid pooling (Chen et al., 2018, arXiv:1802.02611), with the mean added instead of joined,
    so that nothing is broadcast to the map's size before a convolution.

    Args:
        in_channels: Channels of the map.
        out_channels: Channels of the result, and of each branch.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.reduce = ConvBlock(in_channels, out_channels, 1)
        self.branches = nn.ModuleList(DepthwiseBlock(out_channels, dilation=dilation) for dilation in DILATIONS)
        joined = out_channels * (1 + len(DILATIONS))
        self.project = nn.Sequential(nn.Conv2d(joined, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))
        self.whole = nn.Conv2d(out_channels, out_channels, 1)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block: [N,in,H,W] -> [N,out,H,W]."""
        x = self.reduce(x)
        local = self.project(torch.cat([x, *(branch(x) for branch in self.branches)], dim=1))
        result: Tensor = self.activation(local + self.whole(x.mean(dim=(2, 3), keepdim=True)))
        return result
