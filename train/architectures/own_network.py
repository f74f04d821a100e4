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
from edgeseg.train.architectures.own_code import CONTRACT, own_code_error, own_code_named
from edgeseg.train.losses import loss_from_recipe
from edgeseg.train.model_recipe import ModelRecipe
from edgeseg.train.network_outputs import described, logits_of, supervised_loss
from edgeseg.train.recipe import Recipe


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
    with own_code_named(recipe.architecture, f"cannot be made with arguments {recipe.arguments}"):
        network = function(**recipe.arguments)
    if not isinstance(network, nn.Module):
        raise BadInputError(f"{recipe.architecture} gives no network", found=type(network).__name__, expected=CONTRACT)
    _dry_run(network, recipe)
    return network


def try_training(recipe: Recipe, batch_size: int) -> None:
    """Go one step of training with noise, before images are read: batch norm, dropout and auxiliary outputs show then.

    Networks of the catalogue need no trial.

    Args:
        recipe: Its network is made anew and thrown away.
        batch_size: Pictures that one process sees in a step.

    Raises:
        BadInputError: Its code fails, or what it gives in training does not keep the contract.
    """
    model, training = recipe.model, recipe.training
    if not is_own(model.architecture):
        return
    with torch.random.fork_rng(devices=[]):
        network = own_network(model).train()
        for height in sorted({model.height, *training.sizes}):
            images = _noise(batch_size, height, height * model.width // model.height)
            doing = f"fails in training, on a batch of {batch_size} at {height}x{images.shape[3]}"
            with own_code_named(model.architecture, doing):
                output = network(images)
            _check_logits(output, model, images)
            with own_code_named(model.architecture, f"{doing}, in the backward pass"):
                target = torch.zeros_like(images[:, :1]).expand(-1, model.out_channels, -1, -1)
                loss = supervised_loss(loss_from_recipe(training), output, target, training.auxiliary_weights)
                loss.backward()  # type: ignore[no-untyped-call]


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
    except (Exception, SystemExit) as error:  # theirs: importing runs it
        missing = isinstance(error, ModuleNotFoundError) and error.name is not None and name.startswith(error.name)
        if not missing:
            raise own_code_error(f"{OWN_PREFIX}{name}:", "cannot be imported", error) from error
        raise BadInputError(
            f"the module {name} cannot be imported",
            found=f"{type(error).__name__}: {error}",
            expected=f"an installed module, or {name.replace('.', '/')}.py in {here} or on PYTHONPATH",
        ) from error
    finally:
        if added:
            sys.path.remove(here)


def _dry_run(network: nn.Module, recipe: ModelRecipe) -> None:
    """One batch of two pictures at the recipe's size, before any image is read."""
    images = _noise(2, recipe.height, recipe.width)
    training = network.training
    network.eval()
    with own_code_named(recipe.architecture, f"fails on pictures of {recipe.height}x{recipe.width}"), torch.no_grad():
        output = network(images)
    network.train(training)
    _check_logits(output, recipe, images)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise BadInputError(
            f"{recipe.architecture} has nothing to train", found="no parameter that requires a gradient"
        )


def _check_logits(output: object, recipe: ModelRecipe, images: Tensor) -> None:
    """Hold the logits to [N,C,H,W] of the pictures; auxiliary ones may have another height and width."""
    architecture, expected = recipe.architecture, (len(images), recipe.out_channels, *images.shape[2:])
    try:
        logits, *others = logits_of(output)
    except BadInputError as error:
        raise BadInputError(f"{architecture} gives no logits", found=error.found, expected=error.expected) from error
    if tuple(logits.shape) != expected or logits.dtype != torch.float32:
        raise BadInputError(
            f"{architecture} does not keep the contract",
            found=described(output),
            expected=f"logits float32 {list(expected)} for pictures float32 {list(images.shape)}",
            next_command="upsample the logits to the picture's size inside the network",
        )
    if any(other.ndim != 4 or other.shape[:2] != expected[:2] or not other.is_floating_point() for other in others):
        raise BadInputError(
            f"{architecture} gives auxiliary outputs that are no logits",
            found=described(output),
            expected=f"float [{len(images)}, {expected[1]}, height, width] after the logits; a loss is taken of each",
            next_command="give the logits alone, or auxiliary logits after them",
        )


def _noise(count: int, height: int, width: int) -> Tensor:
    return torch.randn((count, 3, height, width), generator=torch.Generator().manual_seed(0))
