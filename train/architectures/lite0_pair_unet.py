"""Two U-Nets on EfficientNet-Lite0, a large one and an ultra-small one, that answer together."""

from __future__ import annotations

from torch import Tensor, nn

from edgeseg.train.architectures.lite0 import Lite0Encoder
from edgeseg.train.architectures.lite0_unet import Lite0UNet
from edgeseg.train.architectures.lite0_unet import from_recipe as large_from_recipe
from edgeseg.train.architectures.ultra_lite0_unet import UltraLite0UNet
from edgeseg.train.architectures.ultra_lite0_unet import from_recipe as small_from_recipe
from edgeseg.train.model_recipe import ModelRecipe


class Lite0PairUNet(nn.Module):
    """The weighted mean of the logits of two networks that see the same picture.

    Two that were trained apart are sure of different wrong marks, and mostly of the same right ones.

    Args:
        large: The network that draws the border.
        small: The network that has a say in what is marked, for a tenth to a fifth of the multiply-adds.
        small_share: Share of its logits in the mean, from 0 to 1.
    """

    def __init__(self, large: Lite0UNet, small: UltraLite0UNet, small_share: float) -> None:
        super().__init__()
        self.large, self.small = large, small
        self.small_share = small_share

    @property
    def encoder(self) -> Lite0Encoder:
        """The large network's encoder."""
        return self.large.encoder

    def forward(self, x: Tensor) -> Tensor:
        """Run both: float32 [N,3,H,W], normalised, H and W multiples of 32 -> logits [N,C,H,W]."""
        logits: Tensor = self.large(x) * (1 - self.small_share) + self.small(x) * self.small_share
        return logits


def from_recipe(recipe: ModelRecipe) -> Lite0PairUNet:
    """The pair; the recipe's decoder is the large network's."""
    return Lite0PairUNet(large_from_recipe(recipe), small_from_recipe(recipe), recipe.small_share)
