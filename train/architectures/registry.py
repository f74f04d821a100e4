"""Makes a network from a recipe."""

from __future__ import annotations

import importlib

from torch import nn

from edgeseg.train.architectures.catalogue import ARCHITECTURES, is_own
from edgeseg.train.architectures.lite0 import Lite0Encoder, load_imagenet_weights
from edgeseg.train.architectures.own_network import own_network
from edgeseg.train.model_recipe import ModelRecipe


def network_from_recipe(recipe: ModelRecipe, *, pretrained: bool | None = None) -> nn.Module:
    """Make the network that a recipe names.

    A recipe that names `python:...` makes this import and run that code: call it only for recipes that the user gave.

    Args:
        recipe: The model section.
        pretrained: Overrides the recipe; False where a checkpoint is loaded next.

    Raises:
        BadInputError: A network of the user's own that cannot be made or does not keep the contract.
    """
    if is_own(recipe.architecture):
        return own_network(recipe)
    network: nn.Module = importlib.import_module(ARCHITECTURES[recipe.architecture].module).from_recipe(recipe)
    if recipe.pretrained if pretrained is None else pretrained:
        for module in network.modules():
            if isinstance(module, Lite0Encoder):
                load_imagenet_weights(module)
    return network


def parameter_count(network: nn.Module) -> int:
    """Trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
