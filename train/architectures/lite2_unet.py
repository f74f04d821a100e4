"""U-Nets on the EfficientNet-Lite2 encoder: teachers, too large for what the packages promise."""

from __future__ import annotations

from typing import ClassVar

from edgeseg.train.architectures.lite0 import Lite0Encoder
from edgeseg.train.architectures.lite0_unet import Lite0UNet
from edgeseg.train.architectures.lite2 import FEATURE_CHANNELS, Lite2Encoder
from edgeseg.train.model_recipe import ModelRecipe


class Lite2UNet(Lite0UNet):
    """The network of `Lite0UNet` with the larger encoder."""

    encoder_class: ClassVar[type[Lite0Encoder]] = Lite2Encoder
    feature_channels: ClassVar[tuple[int, ...]] = FEATURE_CHANNELS


def from_recipe(recipe: ModelRecipe) -> Lite2UNet:
    """The network as a recipe describes it."""
    return Lite2UNet(
        recipe.decoder_widths,
        separable=recipe.decoder == "separable",
        context_width=recipe.context_width,
        out_channels=recipe.out_channels,
    )
