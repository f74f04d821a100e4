"""The networks that a recipe can name, without importing any: the registry loads the one that is wanted.

A new network is one entry here; the tests of shape, size, export, INT8 and parity run over all entries.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeseg.train.model_recipe import ModelRecipe

OWN_PREFIX = "python:"
"""Prefix of a network that is not ours: `python:package.module:function`."""
_REFERENCE = re.compile(r"python:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True)
class Architecture:
    """One network of ours."""

    module: str
    """The network's module, whose function `from_recipe(recipe: ModelRecipe)` makes it."""
    size_step: Callable[[ModelRecipe], int] = lambda recipe: 32
    """The number that height and width must be multiples of."""
    encoder: str | None = None
    """The encoder that can start from pretrained weights; it is the network's attribute `encoder`."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """Attributes of the network that are whole networks of this catalogue -> their names: a training can start each
    from one of its own."""


_HERE = "edgeseg.train.architectures"
ARCHITECTURES: dict[str, Architecture] = {
    "unet": Architecture(f"{_HERE}.unet", lambda recipe: int(2**recipe.depth)),
    "nuclei-unet": Architecture(f"{_HERE}.nuclei_unet", lambda recipe: 16),
    "segnet": Architecture(f"{_HERE}.segnet"),
    "lite0-unet": Architecture(f"{_HERE}.lite0_unet", encoder="efficientnet-lite0"),
    "lite2-unet": Architecture(f"{_HERE}.lite2_unet", encoder="efficientnet-lite2"),
    "lite0-pair-unet": Architecture(
        f"{_HERE}.lite0_pair_unet",
        encoder="efficientnet-lite0",
        parts={"large": "lite0-unet", "small": "ultra-lite0-unet"},
    ),
    "ultra-unet": Architecture(f"{_HERE}.ultra_unet"),
    "ultra-lite0-unet": Architecture(f"{_HERE}.ultra_lite0_unet", encoder="efficientnet-lite0"),
}


def is_own(architecture: str) -> bool:
    """Tell whether a name refers to a network of the user's own: making it imports and runs their code."""
    return architecture.startswith(OWN_PREFIX)


def check_name(architecture: str) -> str:
    """The name, if it can name a network.

    Raises:
        ValueError: It is neither in the catalogue nor a well-formed reference.
    """
    if is_own(architecture):
        if not _REFERENCE.fullmatch(architecture):
            raise ValueError(f"a network of your own is python:package.module:function, not {architecture}")
    elif architecture not in ARCHITECTURES:
        near = difflib.get_close_matches(architecture, ARCHITECTURES, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(
            f"no network {architecture}{hint} There are {', '.join(ARCHITECTURES)} and python:MODULE:FUNCTION"
        )
    return architecture


def size_step(recipe: ModelRecipe) -> int:
    """The number that height and width must be multiples of; 1 for the user's own networks, which a dry run tries."""
    return 1 if is_own(recipe.architecture) else ARCHITECTURES[recipe.architecture].size_step(recipe)


def encoder_of(architecture: str) -> str | None:
    """The pretrained encoder's name, where there is one."""
    return None if is_own(architecture) else ARCHITECTURES[architecture].encoder


def part_of(architecture: str, started: str) -> str | None:
    """The attribute of a network that another one can be; None where it is the whole, or nothing of it.

    Args:
        architecture: The network of several parts.
        started: The other network's name.
    """
    entry = ARCHITECTURES.get(architecture)
    parts = {} if entry is None else entry.parts
    return next((part for part, name in parts.items() if name == started), None)
