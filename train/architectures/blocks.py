"""Pieces that several networks share.

All activations are ReLU or ReLU6 and all upsampling of features is nearest-neighbour: both keep the levels of an INT8
graph as they are. Logits, which stay float, are upsampled bilinearly.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvBlock(nn.Sequential):
    """Convolution, batch norm, ReLU: [N,in,H,W] -> [N,out,H/stride,W/stride]."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class DepthwiseBlock(nn.Sequential):
    """A convolution of each channel alone, batch norm, ReLU6: [N,C,H,W] -> [N,C,H/stride,W/stride]."""

    def __init__(self, channels: int, kernel_size: int = 3, stride: int = 1, dilation: int = 1) -> None:
        padding = dilation * (kernel_size // 2)
        super().__init__(
            nn.Conv2d(channels, channels, kernel_size, stride, padding, dilation, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU6(inplace=True),
        )


class SeparableBlock(nn.Sequential):
    """Depthwise, then 1x1 (Howard et al., 2017, arXiv:1704.04861): [N,in,H,W] -> [N,out,H/stride,W/stride]."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__(DepthwiseBlock(in_channels, kernel_size, stride), ConvBlock(in_channels, out_channels, 1))


class ResidualSeparableBlock(nn.Module):
    """A separable convolution with a way round it: [N,C,H,W] -> the same."""

    def __init__(self, channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.depthwise = DepthwiseBlock(channels, kernel_size)
        self.project = nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        result: Tensor = self.activation(x + self.project(self.depthwise(x)))
        return result


class DecoderStage(nn.Module):
    """Double the picture, join the skip connection, convolve twice."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = ConvBlock(in_channels + skip_channels, out_channels)
        self.second = ConvBlock(out_channels, out_channels)

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """Run the stage: x [N,in,H,W], skip [N,skip,2H,2W] -> [N,out,2H,2W]."""
        x = double(x)
        if skip is not None:
            x = torch.cat([x, skip], dim=1)
        result: Tensor = self.second(self.first(x))
        return result


class SeparableDecoderStage(nn.Module):
    """The same with separable convolutions; channels are reduced before the picture is doubled."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.reduce = ConvBlock(in_channels, out_channels, 1)
        self.first = SeparableBlock(out_channels + skip_channels, out_channels)
        self.second = SeparableBlock(out_channels, out_channels)

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """Run the stage: x [N,in,H,W], skip [N,skip,2H,2W] -> [N,out,2H,2W]."""
        x = double(self.reduce(x))
        if skip is not None:
            x = torch.cat([x, skip], dim=1)
        result: Tensor = self.second(self.first(x))
        return result


def double(x: Tensor) -> Tensor:
    """Features at twice the size, each value four times: [N,C,H,W] -> [N,C,2H,2W]."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def enlarge_logits(logits: Tensor, factor: int) -> Tensor:
    """Logits of a net that predicts at a fraction of the size, bilinearly: [N,C,H,W] -> [N,C,factor*H,factor*W]."""
    if factor == 1:
        return logits
    return F.interpolate(logits, scale_factor=float(factor), mode="bilinear", align_corners=False)
