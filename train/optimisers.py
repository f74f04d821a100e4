"""The optimisers that a recipe can name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from edgeseg.train.choices import OptimiserName
from edgeseg.train.recipe import TrainingRecipe

Make = Callable[..., torch.optim.Optimizer]
OPTIMISERS: dict[OptimiserName, Make] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
    "adamax": torch.optim.Adamax,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}
FUSED: frozenset[OptimiserName] = frozenset({"adamw", "adam", "sgd", "adagrad"})
"""Those whose step PyTorch computes in one kernel, on CPUs too."""


def optimiser_from_recipe(network: nn.Module, training: TrainingRecipe) -> torch.optim.Optimizer:
    """Make the optimiser that a recipe names, with PyTorch's defaults for all that a recipe does not say."""
    name = training.optimiser
    options: dict[str, Any] = {"lr": training.learning_rate, "weight_decay": training.weight_decay}
    if name == "sgd":
        options["momentum"] = training.momentum
    # Fabric cannot unscale FP16 gradients for clipping where the fused kernel does that itself.
    if name in FUSED and training.precision != "16-mixed":
        options["fused"] = _can_fuse(name)
    return OPTIMISERS[name](network.parameters(), **options)


def _can_fuse(name: OptimiserName) -> bool:
    return not (name == "adagrad" and torch.cuda.is_available())  # its fused kernel is the CPU's alone
