"""From a recipe to a network."""

from __future__ import annotations

from torch import nn

from edgeseg.train.architectures.lite0 import load_imagenet_weights
from edgeseg.train.architectures.lite0_unet import Lite0UNet
from edgeseg.train.architectures.unet import UNet
from edgeseg.train.recipe import ModelRecipe


def network_from_recipe(recipe: ModelRecipe, *, pretrained: bool | None = None) -> nn.Module:
    """Make the network that a recipe names.

    Args:
        recipe: The model section.
        pretrained: Overrides the recipe; False where a checkpoint is loaded next.
    """
    if recipe.architecture == "unet":
        return UNet(recipe.base_width, recipe.depth)
    network = Lite0UNet(recipe.decoder_widths)
    if recipe.pretrained if pretrained is None else pretrained:
        load_imagenet_weights(network.encoder)
    return network


def parameter_count(network: nn.Module) -> int:
    """Trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
