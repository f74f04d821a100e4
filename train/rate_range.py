"""The learning-rate range test (Smith, 2017, arXiv:1506.01186): which rates a network learns at.

The rate rises exponentially over real training steps, the loss is smoothed, the sweep ends where it diverges. A network
learns fastest where the smoothed loss falls steepest over the logarithm of the rate; the rate of its minimum is already
on the edge of divergence. The suggestion, for the peak of the one-cycle schedule, is the steepest point, but at most a
tenth of the minimum's rate.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgeseg.errors import BadInputError
from edgeseg.files import atomic_folder, check_writable, write_bytes, write_text
from edgeseg.optional import require
from edgeseg.progress import Say, Track, quiet, silent
from edgeseg.train import run_folder
from edgeseg.train.architectures.own_network import try_training
from edgeseg.train.arithmetic import settled
from edgeseg.train.distillation import teacher_from_models
from edgeseg.train.loop import Batch, Trainer
from edgeseg.train.recipe import Recipe
from edgeseg.train.reproducibility import deterministic_algorithms, step_seed
from edgeseg.train.sample_memory import available_bytes, choose_storage, sample_bytes
from edgeseg.train.starting_weights import starting_weights
from edgeseg.train.threads import usable_threads
from edgeseg.train.training_data import batch_of_one_process, decode, find_data
from edgeseg.values import Part, Value

PICTURE, TABLE = "lr.png", "lr.csv"
LOWEST, HIGHEST, STEPS = 1e-6, 10.0, 120
SMOOTHING = 0.9
"""Share of the former average that stays at each step."""
DIVERGED = 4.0
"""How many times its own minimum the smoothed loss may reach."""
SETTLING = 10
"""Steps at the start in which neither divergence nor a suggestion is looked for: the average is still noise."""


class RatePoint(Part):
    """One step of the sweep."""

    learning_rate: float
    loss: float
    smoothed_loss: float


class RateRange(Value):
    """The findings of a sweep."""

    suggested_learning_rate: float
    steepest_learning_rate: float
    """The rate where the smoothed loss falls fastest over the rate's logarithm."""
    minimum_learning_rate: float
    """The rate where the smoothed loss is least."""
    diverged_at: float | None
    """The rate at which the sweep ended early; None: it came to its end."""
    points: tuple[RatePoint, ...]

    def describe(self, out: Path) -> str:
        """The result for a person."""
        end = "no divergence" if self.diverged_at is None else f"diverges at {self.diverged_at:.1e}"
        return (
            f"suggested learning rate {self.suggested_learning_rate:.1e} "
            f"(steepest {self.steepest_learning_rate:.1e}, minimum {self.minimum_learning_rate:.1e}, {end})\n"
            f"picture: {out / PICTURE}\n"
            f"next: edgeseg train DATA --out RUN --set training.learning_rate={self.suggested_learning_rate:.1e}"
        )


def geometric_rates(lowest: float, highest: float, steps: int) -> list[float]:
    """Rates from the lowest to the highest, each the same factor above the one before."""
    return [float(rate) for rate in np.geomspace(lowest, highest, steps)]


def smooth(losses: Sequence[float], share: float = SMOOTHING) -> list[float]:
    """Exponential moving average without the pull towards its start (Kingma and Ba, 2015, section 3)."""
    averages, average = [], 0.0
    for step, loss in enumerate(losses, 1):
        average = share * average + (1 - share) * loss
        averages.append(average / (1 - share**step))
    return averages


def sweep(step: Callable[[float], float], rates: Sequence[float]) -> tuple[RatePoint, ...]:
    """Take one training step at each rate until the loss diverges.

    Args:
        step: Takes a rate, goes one step at it, gives the loss before that step.
        rates: Rising.

    Returns:
        The points that were measured; the last one may be the diverged one, if its loss is finite.
    """
    points: list[RatePoint] = []
    losses: list[float] = []
    least = math.inf
    for rate in rates:
        loss = step(rate)
        if not math.isfinite(loss):
            break
        losses.append(loss)
        smoothed = smooth(losses)[-1]
        points.append(RatePoint(learning_rate=rate, loss=loss, smoothed_loss=smoothed))
        if len(points) > SETTLING and smoothed > DIVERGED * least:
            break
        least = min(least, smoothed) if len(points) > SETTLING else least
    return tuple(points)


def range_from_points(points: Sequence[RatePoint], rates: Sequence[float]) -> RateRange:
    """Read a sweep.

    Args:
        points: What was measured.
        rates: What was to be measured.

    Raises:
        BadInputError: Too few points, or a loss that never fell.
    """
    if len(points) < SETTLING + 3:
        raise BadInputError(
            "the loss diverged before a learning rate could be chosen",
            found=f"{len(points)} finite steps from a rate of {rates[0]:.1e} on",
            expected="a network and data that a small rate can train",
            next_command="edgeseg data inspect DATA",
        )
    logarithms = np.log([point.learning_rate for point in points])
    smoothed = np.array([point.smoothed_loss for point in points])
    lowest = SETTLING + int(np.argmin(smoothed[SETTLING:]))
    steepest = _steepest(logarithms, smoothed, lowest)
    if steepest is None:
        raise BadInputError(
            "the loss fell at no learning rate",
            found=f"rates from {rates[0]:.1e} to {points[-1].learning_rate:.1e}",
            next_command="edgeseg data inspect DATA",
        )
    minimum_rate, steepest_rate = points[lowest].learning_rate, points[steepest].learning_rate
    early = len(points) < len(rates) or points[-1].smoothed_loss > DIVERGED * smoothed[lowest]
    return RateRange(
        suggested_learning_rate=min(steepest_rate, minimum_rate / 10),
        steepest_learning_rate=steepest_rate,
        minimum_learning_rate=minimum_rate,
        diverged_at=rates[min(len(points), len(rates) - 1)] if early else None,
        points=tuple(points),
    )


def _steepest(logarithms: NDArray[Any], smoothed: NDArray[Any], lowest: int) -> int | None:
    """Index of the steepest fall before the minimum; None where nothing falls."""
    if lowest <= SETTLING:
        return None
    slopes = np.gradient(smoothed, logarithms)[SETTLING : lowest + 1]
    return SETTLING + int(np.argmin(slopes)) if slopes.min() < 0 else None


@usable_threads()
def find_learning_rate(
    data: Path,
    out: Path,
    recipe: Recipe,
    *,
    negatives: Path | None = None,
    starts: Sequence[Path] = (),
    teachers: Sequence[Path] = (),
    trusted: Collection[str] = (),
    say: Say = quiet,
    track: Track = silent,
) -> RateRange:
    """Run the test on a recipe's network and data; nothing that was trained is kept.

    Args:
        data: A data set with the splits train and validation.
        out: A new or empty folder for `lr.png` and `lr.csv`.
        recipe: What would be trained.
        negatives: The same as for training; so are the next two.
        starts: RUNs or packages whose weights are taken over, or their mean.
        teachers: Networks that soften the targets.
        trusted: Code that the teachers' networks may be.
        say: Takes lines for the person.
        track: Draws the progress.

    Raises:
        BadInputError: The data, or a loss that falls at no rate.
    """
    check_writable(out)
    run_folder.check_new(out)
    try_training(recipe, batch_of_one_process(data, negatives, recipe))
    inputs = find_data(data, negatives, teachers, classes=recipe.model.out_channels)
    inputs = inputs.drawn(recipe.training.fraction, recipe.training.seed)
    recipe, arithmetic = settled(recipe)
    if arithmetic.worth_saying:
        say(str(arithmetic))
    teacher = teacher_from_models(teachers, recipe.training.teacher_share, recipe.model_spec(), trusted)
    with deterministic_algorithms(recipe.training.deterministic):
        count = len(inputs.pairs) + len(inputs.negatives)
        needed = sample_bytes(count, recipe.model.height, recipe.model.width)
        folder = next(parent for parent in out.absolute().parents if parent.is_dir())
        storage = choose_storage(needed, available_bytes(), folder, say)
        samples, empty = decode(inputs, recipe, storage, track)
        trainer = Trainer(recipe, out, samples, inputs.validation, empty, teacher)
        begin = starting_weights(starts, recipe, data)
        if begin is not None:
            trainer.start_from(begin.weights)
        rates = geometric_rates(LOWEST, HIGHEST, STEPS)
        points = sweep(training_step(trainer), list(track(rates, "trying learning rates", len(rates))))
    found = range_from_points(points, rates)
    with atomic_folder(out) as folder:
        write_text(folder / TABLE, _table(found))
        write_bytes(folder / PICTURE, _picture(found))
    return found


def training_step(trainer: Trainer) -> Callable[[float], float]:
    """One real step of a trainer at a rate of one's own; schedule and average stay where they are."""
    groups = trainer.descent.optimiser.param_groups
    shares = [group["lr"] / max(group["lr"] for group in groups) for group in groups]
    steps = enumerate(_endless(trainer))

    def step(rate: float) -> float:
        number, batch = next(steps)
        torch.manual_seed(step_seed(trainer.recipe.training.seed, 0, number, 0))
        for group, share in zip(groups, shares, strict=True):
            group["lr"] = rate * share
        loss = trainer.loss_of(batch)
        trainer.descent.descend(loss)
        return float(loss.detach())

    trainer.descent.network.train()
    return step


def _endless(trainer: Trainer) -> Iterator[Batch]:
    for epoch in itertools.count(1):
        yield from trainer.batches_of(epoch)


def _table(found: RateRange) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(RatePoint.model_fields))
    writer.writeheader()
    writer.writerows(point.model_dump() for point in found.points)
    return stream.getvalue()


def _picture(found: RateRange) -> bytes:
    require("matplotlib").use("Agg")
    pyplot = require("matplotlib.pyplot")
    rates = [point.learning_rate for point in found.points]
    smoothed = [point.smoothed_loss for point in found.points]
    figure, axis = pyplot.subplots(figsize=(7, 4), layout="constrained")
    axis.plot(rates, [point.loss for point in found.points], color="#0072b2", alpha=0.25, label="loss of a step")
    axis.plot(rates, smoothed, color="#0072b2", label="smoothed")
    axis.axvline(found.suggested_learning_rate, color="#d55e00", label=f"suggested {found.suggested_learning_rate:.1e}")
    axis.axvline(found.minimum_learning_rate, color="grey", linestyle=":", label="minimum")
    low, high = min(smoothed), max(smoothed[:SETTLING])
    axis.set(xscale="log", xlabel="learning rate", ylabel="training loss")
    axis.set_ylim(low - 0.1 * (high - low), high + 0.5 * (high - low))
    axis.grid(alpha=0.3)
    axis.legend(loc="best")
    with io.BytesIO() as stream:
        figure.savefig(stream, format="png", dpi=130)
        pyplot.close(figure)
        return stream.getvalue()
