"""An ultra-small network to be trained from scratch."""

from __future__ import annotations

from torch import Tensor, nn

from edgeseg.train.architectures.blocks import ConvBlock, ResidualSeparableBlock, SeparableBlock
from edgeseg.train.architectures.fusion import FusionDecoder
from edgeseg.train.model_recipe import ModelRecipe

WIDTHS = (16, 32, 64, 80)
"""Channels at strides 2, 4, 8 and 16."""


class UltraUNet(nn.Module):
    """A U-Net of at most 0.13 M parameters.

    Full convolutions where the maps are large and the channels few, separable residual blocks with 5x5 kernels below.

    Args:
        out_channels: Channels of the logits.
    """

    def __init__(self, out_channels: int = 1) -> None:
        super().__init__()
        first, second, third, fourth = WIDTHS
        self.levels = nn.ModuleList(
            [
                nn.Sequential(ConvBlock(3, first, stride=2), ConvBlock(first, first)),
                nn.Sequential(ConvBlock(first, second, stride=2), *_residuals(second, 2)),
                nn.Sequential(SeparableBlock(second, third, stride=2), *_residuals(third, 3)),
                nn.Sequential(SeparableBlock(third, fourth, stride=2), *_residuals(fourth, 4)),
            ]
        )
        self.decoder = FusionDecoder(WIDTHS, 80, (48, 40, 24, 16), out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Run the network: float32 [N,3,H,W], normalised, H and W multiples of 32 -> logits [N,C,H,W]."""
        features: list[Tensor] = []
        for level in self.levels:
            x = level(x)
            features.append(x)
        logits: Tensor = self.decoder(features)
        return logits


def _residuals(channels: int, count: int) -> list[nn.Module]:
    return [ResidualSeparableBlock(channels, kernel_size=5) for _ in range(count)]


def from_recipe(recipe: ModelRecipe) -> UltraUNet:
    """The network; of a recipe, only the number of classes matters to it."""
    return UltraUNet(recipe.out_channels)
