"""Pieces that several networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvBlock(nn.Sequential):
    """Convolution, batch norm, ReLU: [N,in,H,W] -> [N,out,H,W]."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class DecoderStage(nn.Module):
    """Double the picture, join the skip connection, convolve twice.

    Nearest-neighbour upsampling: it moves INT8 values without arithmetic, so a quantised graph stays exact there.
    """

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = ConvBlock(in_channels + skip_channels, out_channels)
        self.second = ConvBlock(out_channels, out_channels)

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """Run the stage: x [N,in,H,W], skip [N,skip,2H,2W] -> [N,out,2H,2W]."""
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        if skip is not None:
            x = torch.cat([x, skip], dim=1)
        result: Tensor = self.second(self.first(x))
        return result
