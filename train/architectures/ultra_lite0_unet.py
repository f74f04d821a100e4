"""An ultra-small network on the first blocks of the pretrained EfficientNet-Lite0."""

from __future__ import annotations

from torch import Tensor, nn

from edgeseg.train.architectures.fusion import FusionDecoder
from edgeseg.train.architectures.lite0 import Lite0Encoder
from edgeseg.train.model_recipe import ModelRecipe

ENCODER_BLOCKS = 6
"""Up to stride 16; the next block alone has 83,200 parameters."""
FEATURE_CHANNELS = (16, 24, 40, 80)


class UltraLite0UNet(nn.Module):
    """A U-Net of at most 0.13 M parameters, two thirds of them pretrained.

    Args:
        out_channels: Channels of the logits.
    """

    def __init__(self, out_channels: int = 1) -> None:
        super().__init__()
        self.encoder = Lite0Encoder(ENCODER_BLOCKS)
        self.decoder = FusionDecoder(FEATURE_CHANNELS, 64, (48, 32, 24, 16), out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Run the network: float32 [N,3,H,W], normalised, H and W multiples of 32 -> logits [N,C,H,W]."""
        logits: Tensor = self.decoder(self.encoder(x))
        return logits


def from_recipe(recipe: ModelRecipe) -> UltraLite0UNet:
    """The network; of a recipe, the number of classes and whether it starts pretrained matter to it."""
    return UltraLite0UNet(recipe.out_channels)
