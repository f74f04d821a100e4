"""Checkpoints of a RUN folder: `best.pt` (weights alone) and `last.pt` (all that resuming needs).

Both are read with weights_only=True: a checkpoint from a stranger cannot run code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgeseg.errors import BadInputError, MismatchError
from edgeseg.files import atomic_file
from edgeseg.packages import RUN_CHECKPOINT, RUN_RECIPE
from edgeseg.train.recipe import Recipe, read_recipe

LAST = "last.pt"


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all: the former one stays until the new one is complete."""
    with atomic_file(path) as temporary:
        torch.save(content, temporary)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU.

    Raises:
        BadInputError: Missing or no checkpoint.
    """
    if not path.is_file():
        raise BadInputError(
            f"there is no checkpoint {path.name} in {path.parent}",
            next_command=f"edgeseg train DATA --out {path.parent}",
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises pickle, zip and runtime errors alike
        raise BadInputError(
            f"{path} is no checkpoint that can be read", found=f"{type(error).__name__} {error}".splitlines()[0][:200]
        ) from error
    if not isinstance(content, dict) or "network" not in content:
        raise BadInputError(f"{path} is no checkpoint of edgeseg", found=type(content).__name__)
    return content


def load_best(run: Path) -> tuple[Recipe, dict[str, Tensor]]:
    """The recipe of a RUN and the weights of its best epoch.

    Raises:
        BadInputError: Something is missing.
        MismatchError: The checkpoint was trained with another recipe.
    """
    recipe = read_recipe(run / RUN_RECIPE)
    content = load(run / RUN_CHECKPOINT)
    check_recipe(run / RUN_CHECKPOINT, content, recipe)
    return recipe, content["network"]


def check_recipe(path: Path, content: dict[str, Any], recipe: Recipe) -> None:
    """Refuse a checkpoint of another recipe.

    Raises:
        MismatchError: The recipe hashes differ.
    """
    if content.get("recipe_sha256") != recipe.sha256:
        raise MismatchError(
            f"{path} was trained with another recipe",
            found=f"recipe {str(content.get('recipe_sha256'))[:12]}",
            expected=f"recipe {recipe.sha256[:12]}",
            next_command="use the recipe.toml of that RUN, or train into a new folder",
        )
