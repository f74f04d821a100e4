"""Pieces that several networks share.

All activations are ReLU or ReLU6 and all upsampling of features is nearest-neighbour: both keep the levels of an INT8
graph as they are. Logits, which stay float, are upsampled bilinearly.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.train.depthwise import DepthwiseConv2d


class ConvBlock(nn.Sequential):
    """Convolution, batch norm, ReLU, dropout where wanted: [N,in,H,W] -> [N,out,H/stride,W/stride].

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the result.
        kernel_size: Side of the kernel; the picture is padded with zeros to keep its size.
        stride: Step of the kernel.
        batch_norm: Whether to normalise; without it the convolution has a bias.
        dropout: Share of the values that training drops; 0 drops none.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        *,
        batch_norm: bool = True,
        dropout: float = 0.0,
    ) -> None:
        padding = kernel_size // 2
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=not batch_norm),
            *([nn.BatchNorm2d(out_channels)] if batch_norm else []),
            nn.ReLU(inplace=True),
            *([nn.Dropout(dropout)] if dropout else []),
        )


class DepthwiseBlock(nn.Sequential):
    """A convolution of each channel alone, batch norm, ReLU6: [N,C,H,W] -> [N,C,H/stride,W/stride]."""

    def __init__(self, channels: int, kernel_size: int = 3, stride: int = 1, dilation: int = 1) -> None:
        super().__init__(
            DepthwiseConv2d(channels, kernel_size, stride, dilation),
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
    """Double the picture, join the skip connection, convolve twice.

    Args:
        in_channels: Channels of the deeper map.
        skip_channels: Channels of the skip connection.
        out_channels: Channels of the result.
        transposed: Channels of the 2x2 transposed convolution that doubles the picture; 0 doubles by nearest neighbour.
        batch_norm: Whether to normalise.
        dropout: Share of the values that training drops between the convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        skip_channels: int,
        out_channels: int,
        *,
        transposed: int = 0,
        batch_norm: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(in_channels, transposed, 2, stride=2) if transposed else None
        joined = (transposed or in_channels) + skip_channels
        self.first = ConvBlock(joined, out_channels, batch_norm=batch_norm, dropout=dropout)
        self.second = ConvBlock(out_channels, out_channels, batch_norm=batch_norm)

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """Run the stage: x [N,in,H,W], skip [N,skip,2H,2W] -> [N,out,2H,2W]."""
        x = double(x) if self.enlarge is None else self.enlarge(x)
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


def he_normal(network: nn.Module) -> None:
    """Draw the convolutions' weights as He et al. (2015, arXiv:1502.01852) do for ReLU, by fan-in; biases become 0.

    A transposed convolution of 2x2 with stride 2 sees each input channel once, so its fan-in is its input channels.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=(2 / module.in_channels) ** 0.5)
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) and module.bias is not None:
            nn.init.zeros_(module.bias)


def double(x: Tensor) -> Tensor:
    """Features at twice the size, each value four times: [N,C,H,W] -> [N,C,2H,2W]."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def enlarge_logits(logits: Tensor, factor: int) -> Tensor:
    """Logits of a net that predicts at a fraction of the size, bilinearly: [N,C,H,W] -> [N,C,factor*H,factor*W]."""
    if factor == 1:
        return logits
    return F.interpolate(logits, scale_factor=float(factor), mode="bilinear", align_corners=False)
