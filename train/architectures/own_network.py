"""A network of the user's own: `architecture = "python:package.module:function"`.

Making one imports the user's module, which runs its code. So it is done for recipes that the user handed to `train`,
and for RUN folders only where the user named the same network again (`edgeseg.train.predictor.open_run`).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from edgeseg.errors import BadInputError
from edgeseg.shell import quoted
from edgeseg.train.architectures.catalogue import OWN_PREFIX, is_own
from edgeseg.train.recipe import ModelRecipe

CONTRACT = "an nn.Module: normalised float32 [N,3,H,W] in, logits float32 [N,1,H,W] out"


def own_network(recipe: ModelRecipe) -> nn.Module:
    """Import the function that a recipe names, call it with the recipe's `arguments`, try the network once.

    Raises:
        BadInputError: No such module or function, its code fails, or what it gives does not keep the contract.
    """
    module_name, function_name = recipe.architecture.removeprefix(OWN_PREFIX).split(":")
    module = _module(module_name)
    function = getattr(module, function_name, None)
    if not callable(function):
        raise BadInputError(
            f"{module_name} has no function {function_name}",
            found=f"{module.__file__}: {', '.join(name for name in vars(module) if not name.startswith('_'))[:200]}",
            expected=f"a function that gives {CONTRACT}",
        )
    try:
        network = function(**recipe.arguments)
    except Exception as error:  # theirs: it can raise anything
        raise _failed(recipe, f"cannot be made with arguments {recipe.arguments}", error) from error
    if not isinstance(network, nn.Module):
        raise BadInputError(f"{recipe.architecture} gives no network", found=type(network).__name__, expected=CONTRACT)
    _dry_run(network, recipe)
    return network


def check_trusted(run: Path, architecture: str, trusted: Collection[str], way_on: str | None = None) -> None:
    """Refuse to import what a RUN folder names unless the user named the same: a stranger's folder must not choose.

    Networks of the catalogue need no trust.

    Args:
        run: The RUN folder.
        architecture: What its recipe names.
        trusted: The code that the user named.
        way_on: The command to type instead; unless told the export, whose graph needs no code any more.

    Raises:
        BadInputError: Code that the user did not name.
    """
    if is_own(architecture) and architecture not in trusted:
        raise BadInputError(
            f"the network of {run} is your own code, and loading it would run that code",
            found=architecture,
            expected=f"--trust {architecture}, if you know that code and trust it",
            next_command=way_on or f"edgeseg export {quoted(run)} --out model.onnx --trust {quoted(architecture)}",
        )


def _module(name: str) -> ModuleType:
    """Import a module as Python would in the current folder; what is installed comes first."""
    here = str(Path.cwd())
    added = here not in sys.path and "" not in sys.path
    if added:
        sys.path.append(here)
    try:
        importlib.invalidate_caches()
        return importlib.import_module(name)
    except Exception as error:  # theirs: importing runs it
        missing = isinstance(error, ModuleNotFoundError) and error.name is not None and name.startswith(error.name)
        raise BadInputError(
            f"the module {name} cannot be imported",
            found=f"{type(error).__name__}: {error}",
            expected=f"an installed module, or {name.replace('.', '/')}.py in {here} or on PYTHONPATH",
            next_command=None if missing else "edgeseg --debug ... shows where in that module it failed",
        ) from error
    finally:
        if added:
            sys.path.remove(here)


def _dry_run(network: nn.Module, recipe: ModelRecipe) -> None:
    """One batch of two pictures at the recipe's size, before any image is read."""
    images = torch.randn((2, 3, recipe.height, recipe.width), generator=torch.Generator().manual_seed(0))
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            logits = network(images)
    except Exception as error:  # theirs
        raise _failed(recipe, f"fails on pictures of {recipe.height}x{recipe.width}", error) from error
    network.train(training)
    expected = (2, 1, recipe.height, recipe.width)
    if not isinstance(logits, Tensor) or tuple(logits.shape) != expected or logits.dtype != torch.float32:
        raise BadInputError(
            f"{recipe.architecture} does not keep the contract",
            found=_described(logits),
            expected=f"logits float32 {list(expected)} for pictures float32 {list(images.shape)}",
            next_command="upsample the logits to the picture's size inside the network, and give them alone",
        )
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise BadInputError(
            f"{recipe.architecture} has nothing to train", found="no parameter that requires a gradient"
        )


def _failed(recipe: ModelRecipe, what: str, error: Exception) -> BadInputError:
    text = (str(error).strip().splitlines() or [""])[0][:300]
    return BadInputError(
        f"{recipe.architecture} {what}",
        found=f"{type(error).__name__}: {text}",
        expected=CONTRACT,
        next_command="edgeseg --debug ... shows where in that code it failed",
    )


def _described(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    return type(value).__name__
