"""The plain U-Net (Ronneberger et al., 2015, arXiv:1505.04597) with batch norm and padding, any width and depth."""

from __future__ import annotations

from torch import Tensor, nn

from edgeseg.train.architectures.blocks import ConvBlock, DecoderStage
from edgeseg.train.recipe import ModelRecipe


class UNet(nn.Module):
    """A plain U-Net.

    Args:
        base_width: Channels of the first level; each level doubles them.
        depth: How often the picture is halved; height and width must be multiples of 2**depth.
        out_channels: Channels of the logits.
    """

    def __init__(self, base_width: int = 16, depth: int = 4, out_channels: int = 1) -> None:
        super().__init__()
        widths = [base_width * 2**level for level in range(depth + 1)]
        self.levels = nn.ModuleList(
            nn.Sequential(ConvBlock(before, width), ConvBlock(width, width))
            for before, width in zip([3, *widths[:-1]], widths, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.decoder = nn.ModuleList(
            DecoderStage(deep, skip, skip) for deep, skip in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(base_width, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Run the network: float32 [N,3,H,W], normalised -> logits [N,C,H,W]."""
        skips: list[Tensor] = []
        for index, level in enumerate(self.levels):
            x = level(x if index == 0 else self.pool(x))
            skips.append(x)
        skips.pop()
        for stage in self.decoder:
            x = stage(x, skips.pop())
        logits: Tensor = self.head(x)
        return logits


def from_recipe(recipe: ModelRecipe) -> UNet:
    """The network as a recipe describes it."""
    return UNet(recipe.base_width, recipe.depth)
