"""Checkpoints of a RUN folder: `best.pt` (only weights), `last.pt` (all that resuming needs) and the one before it.

All are read with weights_only=True: a checkpoint from a stranger cannot run code.
"""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.errors import BadInputError, MismatchError
from edgeseg.files import UnwritableError, atomic_file
from edgeseg.packages import RUN_CHECKPOINT, RUN_RECIPE
from edgeseg.progress import Say, quiet
from edgeseg.shell import quoted
from edgeseg.train.recipe import Recipe, read_recipe

LAST = "last.pt"
PREVIOUS = "previous.pt"


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all: the former one stays until the new one is complete and on the disk.

    Raises:
        UnwritableError: The disk is full, or took no more.
    """
    with atomic_file(path) as temporary:
        _write(path, temporary, content)


def save_last(run: Path, content: dict[str, Any]) -> None:
    """Write `last.pt`; the former one becomes `previous.pt`, so that at every moment one of both is whole.

    Raises:
        UnwritableError: The disk is full, or took no more; both stay what they were.
    """
    path = run / LAST
    with atomic_file(path) as temporary:
        _write(path, temporary, content)
        if path.is_file():
            path.replace(run / PREVIOUS)


def _write(path: Path, temporary: Path, content: dict[str, Any]) -> None:
    try:
        with temporary.open("wb") as stream:
            torch.save(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
    except (OSError, RuntimeError) as error:  # torch's writer hides an OSError in its own RuntimeError
        reason = error if isinstance(error, OSError) else error.__context__
        raise UnwritableError(
            f"cannot write the checkpoint {path}",
            found=(reason.strerror if isinstance(reason, OSError) else None) or str(error).splitlines()[0][:200],
            expected="room for it beside the former one, which is kept",
            next_command=f"make room, then edgeseg train DATA --out {quoted(path.parent)} --resume",
        ) from error


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU.

    Raises:
        BadInputError: Missing or no checkpoint.
    """
    if not path.is_file():
        raise BadInputError(
            f"there is no checkpoint {path.name} in {path.parent}",
            next_command=f"edgeseg train DATA --out {quoted(path.parent)}",
        )
    try:
        _refuse_packed(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a foreign pickle, which is refused in words below
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except zipfile.BadZipFile as error:
        raise BadInputError(
            f"{path} is no checkpoint that can be read",
            found=f"no whole archive ({error}); a bare pickle is not opened, since it would run code",
            expected="the archive that torch.save writes",
        ) from error
    except pickle.UnpicklingError as error:
        raise BadInputError(
            f"{path} is no checkpoint that can be read",
            found="a pickle that is damaged or would run code; nothing of it was run",
            expected="tensors and plain values only",
        ) from error
    except Exception as error:  # zipfile's errors, and torch's, which have no common base
        raise BadInputError(
            f"{path} is no checkpoint that can be read", found=f"{type(error).__name__} {error}".splitlines()[0][:200]
        ) from error
    weights = content.get("network") if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(weight, Tensor) for weight in weights.values()):
        raise BadInputError(
            f"{path} is no checkpoint of edgeseg",
            found=type(content).__name__ if weights is None else "weights that are no tensors",
            expected=f"{RUN_CHECKPOINT} or {LAST} of a RUN",
        )
    found: dict[str, Any] = content
    return found


def _refuse_packed(path: Path) -> None:
    """Refuse what `torch.save` does not write: parts that are compressed, or share bytes, and unpack to gigabytes."""
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    size = path.stat().st_size
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts) or sum(p.file_size for p in parts) > size:
        raise ValueError(f"an archive of {size} bytes whose parts are larger")


def load_last(run: Path, recipe: Recipe, say: Say = quiet) -> dict[str, Any] | None:
    """Load what a training goes on from: `last.pt`, or `previous.pt` where that is missing or cannot be read.

    Args:
        run: The RUN folder.
        recipe: The recipe that the checkpoint must have been trained with.
        say: Takes the line that says that `last.pt` could not be used.

    Returns:
        None where no checkpoint was written yet.

    Raises:
        BadInputError: There are checkpoints and none can be read.
        MismatchError: It belongs to another recipe.
    """
    paths = [path for path in (run / LAST, run / PREVIOUS) if path.exists()]
    reasons = []
    for path in paths:
        try:
            content = load(path)
        except BadInputError as error:
            reasons.append(f"{path.name}: {error.found}")
            continue
        check_recipe(path, content, recipe)
        if path.name != LAST:
            say(f"{reasons[0] if reasons else f'{LAST} is missing'}; going on from {path.name}")
        return content
    if not paths:
        return None
    raise BadInputError(
        f"no checkpoint in {run} can be read",
        found="; ".join(reasons),
        expected=f"{LAST} or {PREVIOUS} as the training wrote it",
        next_command="put a copy of it back, or start again: "
        f"edgeseg train DATA --out ANOTHER --recipe {quoted(run / RUN_RECIPE)}  ({RUN_CHECKPOINT} stays usable)",
    )


def load_weights(path: Path, network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put a checkpoint's weights into a network.

    Args:
        path: The checkpoint, for the message.
        network: Takes them.
        weights: By name, as `network.state_dict()` gives them.

    Raises:
        MismatchError: Names or shapes differ: another architecture, or other code behind the same name.
    """
    expected = network.state_dict()
    missing, unknown = sorted(expected.keys() - weights.keys()), sorted(weights.keys() - expected.keys())
    reshaped = [name for name in expected.keys() & weights.keys() if expected[name].shape != weights[name].shape]
    if missing or unknown or reshaped:
        counts = (("missing", missing), ("unknown", unknown), ("of another shape", sorted(reshaped)))
        found = ", ".join(f"{len(names)} tensors {what} ({names[0]})" for what, names in counts if names)
        raise MismatchError(
            f"{path} holds the weights of another architecture",
            found=found,
            expected=f"the {len(expected)} tensors of the network that {RUN_RECIPE} names",
            next_command="use the recipe and the code that the checkpoint was trained with",
        )
    network.load_state_dict(weights)


def load_best(run: Path) -> tuple[Recipe, dict[str, Tensor]]:
    """The recipe of a RUN and the weights of its best epoch.

    Raises:
        BadInputError: Something is missing.
        MismatchError: The checkpoint was trained with another recipe.
    """
    if not (run / RUN_RECIPE).is_file():
        raise BadInputError(
            f"{run} is no RUN folder",
            found="a file" if run.is_file() else f"no {RUN_RECIPE} in it",
            expected="the folder that edgeseg train --out made",
        )
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
