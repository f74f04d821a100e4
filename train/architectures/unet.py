"""The U-Net (Ronneberger et al., 2015, arXiv:1505.04597) with padding, of any width and depth."""

from __future__ import annotations

from torch import Tensor, nn

from edgeseg.train.architectures.blocks import ConvBlock, DecoderStage, he_normal
from edgeseg.train.model_recipe import ModelRecipe


class SkipNetwork(nn.Module):
    """The way through a U-Net: down through levels, up through decoder stages, each joined with its level."""

    levels: nn.ModuleList
    pool: nn.Module
    decoder: nn.ModuleList
    head: nn.Module

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


class UNet(SkipNetwork):
    """A U-Net.

    The paper's own has a base width of 64, no batch norm and transposed convolutions; its quarter has a base width of
    16, that is 16-32-64-128-256.

    Args:
        base_width: Channels of the first level; each level doubles them.
        depth: How often the picture is halved; height and width must be multiples of 2**depth.
        out_channels: Channels of the logits.
        batch_norm: Whether to normalise; without it weights are drawn as He et al. do, as the paper has it.
        transposed: Whether 2x2 transposed convolutions double the picture, instead of nearest neighbours.
        dropout: Share of the values that training drops between the two convolutions of each level.
    """

    def __init__(
        self,
        base_width: int = 16,
        depth: int = 4,
        out_channels: int = 1,
        *,
        batch_norm: bool = True,
        transposed: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        widths = [base_width * 2**level for level in range(depth + 1)]
        self.levels = nn.ModuleList(
            nn.Sequential(
                ConvBlock(before, width, batch_norm=batch_norm, dropout=dropout),
                ConvBlock(width, width, batch_norm=batch_norm),
            )
            for before, width in zip([3, *widths[:-1]], widths, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.decoder = nn.ModuleList(
            DecoderStage(deep, skip, skip, transposed=skip if transposed else 0, batch_norm=batch_norm, dropout=dropout)
            for deep, skip in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(base_width, out_channels, 1)
        if not batch_norm:
            he_normal(self)


def from_recipe(recipe: ModelRecipe) -> UNet:
    """The network as a recipe describes it."""
    return UNet(
        recipe.base_width,
        recipe.depth,
        recipe.out_channels,
        batch_norm=recipe.batch_norm,
        transposed=recipe.upsampling == "transposed",
        dropout=recipe.dropout,
    )
