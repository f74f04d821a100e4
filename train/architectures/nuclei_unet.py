"""The U-Net that solutions of the 2018 Data Science Bowl (nuclei in microscopy) start from."""

from __future__ import annotations

from torch import nn

from edgeseg.train.architectures.blocks import ConvBlock, DecoderStage, he_normal
from edgeseg.train.architectures.unet import SkipNetwork
from edgeseg.train.model_recipe import ModelRecipe

WIDTHS = (16, 32, 64, 128, 256)
"""Filters of the levels, the shallowest first."""
DROPOUT = (0.1, 0.1, 0.2, 0.2, 0.3)
"""Share of values dropped between the two convolutions of each level; the way up mirrors it."""
TRANSPOSED = (32, 64, 32, 16)
"""Filters of the transposed convolutions on the way up, the deepest first."""


class NucleiUNet(SkipNetwork):
    """A U-Net of 1.73 M parameters: biases instead of batch norm, He-normal weights, dropout that grows with depth.

    Height and width must be multiples of 16.

    Args:
        out_channels: Channels of the logits.
    """

    def __init__(self, out_channels: int = 1) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(
                ConvBlock(before, width, batch_norm=False, dropout=dropout), ConvBlock(width, width, batch_norm=False)
            )
            for before, width, dropout in zip((3, *WIDTHS[:-1]), WIDTHS, DROPOUT, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.decoder = nn.ModuleList(
            DecoderStage(deep, skip, skip, transposed=enlarged, batch_norm=False, dropout=dropout)
            for deep, skip, enlarged, dropout in zip(
                WIDTHS[:0:-1], WIDTHS[-2::-1], TRANSPOSED, DROPOUT[-2::-1], strict=True
            )
        )
        self.head = nn.Conv2d(WIDTHS[0], out_channels, 1)
        he_normal(self)


def from_recipe(recipe: ModelRecipe) -> NucleiUNet:
    """The network; of a recipe, only the number of classes matters to it."""
    return NucleiUNet(recipe.out_channels)
