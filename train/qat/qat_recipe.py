"""The recipe of a quantisation-aware training: derived from that of the RUN, and held to what can be simulated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeseg.errors import BadInputError, MismatchError, UsageError
from edgeseg.packages import RUN_RECIPE
from edgeseg.shell import quoted
from edgeseg.train.recipe import Recipe, TrainingRecipe, read_recipe

EPOCHS = 5
RATE_SHARE = 0.1
"""Share of the float training's learning rate: the weights only have to move by about a level."""
FIXED = {"precision": "32-true", "compile": "false", "sync_batchnorm": "false", "sizes": "[]", "style_mixing": "0.0"}
"""Key of `[training]` -> the one value that it can have, as it is typed: levels are rounded in float32, in a graph of
one size that runs none of the network's own modules."""


def recipe_of_run(run: Path) -> Recipe:
    """The recipe that a RUN was trained with.

    Raises:
        BadInputError: It is no RUN folder.
    """
    if not (run / RUN_RECIPE).is_file():
        raise BadInputError(
            f"--qat {run} is no RUN folder",
            found=f"no {RUN_RECIPE} in it" if run.exists() else "nothing there",
            expected="the folder that edgeseg train --out made",
            next_command=f"edgeseg train DATA --out {quoted(run)}",
        )
    return read_recipe(run / RUN_RECIPE)


def qat_recipe(run: Path, settings: Sequence[str] = ()) -> Recipe:
    """The recipe for training on a RUN where none is given: the RUN's own, 5 epochs at a tenth of its learning rate.

    Args:
        run: The RUN folder.
        settings: Changes to it.

    Raises:
        BadInputError: It is no RUN folder.
        UsageError: A setting that does not hold together with the rest.
    """
    rate = recipe_of_run(run).training.learning_rate * RATE_SHARE
    fixed = [f"training.{key}={value}" for key, value in FIXED.items()]
    first = [f"training.epochs={EPOCHS}", f"training.learning_rate={rate!r}", "training.patience=0", *fixed]
    return read_recipe(run / RUN_RECIPE, [*first, *settings])


def recipe_for_qat(recipe: Recipe, trained: Recipe, processes: int, started: bool) -> Recipe:
    """The recipe with its precision settled; what quantisation-aware training cannot do is refused.

    Args:
        recipe: What to do.
        trained: The recipe of the RUN to train on.
        processes: How many processes train.
        started: Whether there are other weights to start from.

    Raises:
        MismatchError: The recipe names another network than the one that was trained.
        UsageError: A recipe or an option that does not go with it.
    """
    if started or processes > 1:
        raise UsageError(
            f"--qat does not work with {'--start' if started else '--devices'}",
            expected="--qat RUN starts from that RUN's weights, on one device",
        )
    ours, theirs = (model.model_copy(update={"pretrained": False}) for model in (recipe.model, trained.model))
    if ours != theirs:
        differing = [key for key, value in ours.model_dump().items() if value != getattr(theirs, key)]
        raise MismatchError(
            "the recipe names another network than the one that --qat gives",
            found=", ".join(f"model.{key}={getattr(ours, key)}" for key in differing),
            expected=", ".join(f"model.{key}={getattr(theirs, key)}" for key in differing),
            next_command="leave --recipe out: the RUN's own is taken",
        )
    training, usual = recipe.training, TrainingRecipe(precision="32-true")
    if training.precision == "auto":
        training = training.model_copy(update={"precision": "32-true"})
    wrong = [key for key in FIXED if getattr(training, key) != getattr(usual, key)]
    if wrong:
        raise UsageError(
            f"--qat does not work with training.{wrong[0]}={getattr(training, wrong[0])}",
            next_command=f"--set training.{wrong[0]}={FIXED[wrong[0]]}",
        )
    return recipe.model_copy(update={"training": training})
