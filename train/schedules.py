"""How the learning rate changes over a training."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from edgeseg.train.choices import ScheduleName
from edgeseg.train.recipe import TrainingRecipe

LOWEST = 0.1
"""The cyclic schedule's smallest rate, as a share of its largest."""


class Schedule(Protocol):
    """A learning rate over time."""

    def after_step(self) -> None:
        """Go on by one step."""
        ...

    def after_epoch(self, validation_dice: float) -> None:
        """Go on by one epoch that reached a validation Dice."""
        ...

    def get_last_lr(self) -> list[float]:
        """The rate of the next step, for each group of parameters."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that going on from here needs."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        ...


class _ByStep:
    """A schedule that depends on the step alone."""

    def __init__(self, schedule: LRScheduler) -> None:
        self._schedule = schedule

    def after_step(self) -> None:
        self._schedule.step()

    def after_epoch(self, validation_dice: float) -> None:
        pass

    def get_last_lr(self) -> list[float]:
        return [float(rate) for rate in self._schedule.get_last_lr()]

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = self._schedule.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._schedule.load_state_dict(state)


class _OnPlateau(_ByStep):
    """A schedule that waits for the validation Dice to stand still."""

    _schedule: Any

    def after_step(self) -> None:
        pass

    def after_epoch(self, validation_dice: float) -> None:
        self._schedule.step(validation_dice)


def schedule_from_recipe(optimiser: torch.optim.Optimizer, training: TrainingRecipe, epoch_steps: int) -> Schedule:
    """Make the schedule that a recipe names.

    Args:
        optimiser: What it steers.
        training: The recipe's loop section.
        epoch_steps: Steps of an epoch.
    """
    if training.schedule == "plateau":
        patience = training.decay_epochs - 1  # PyTorch reduces one epoch after its patience has run out
        return _OnPlateau(
            ReduceLROnPlateau(optimiser, "max", factor=training.decay_factor, patience=patience, threshold=0.0)
        )
    steps = max(1, training.epochs) * epoch_steps
    if training.schedule == "one-cycle":
        return _ByStep(_one_cycle(optimiser, training, steps))
    return _ByStep(LambdaLR(optimiser, _factor(training, training.schedule, steps, epoch_steps)))


def _one_cycle(optimiser: torch.optim.Optimizer, training: TrainingRecipe, steps: int) -> OneCycleLR:
    """Rise and fall of the learning rate over all steps (Smith and Topin, 2017, arXiv:1708.07120).

    Where the optimiser has a momentum (Adam's: its first beta), it falls and rises against the rate.
    """
    total = max(steps, 4)  # the schedule divides by the lengths of its two phases
    has_momentum = "betas" in optimiser.defaults or bool(optimiser.defaults.get("momentum"))
    return OneCycleLR(
        optimiser,
        training.learning_rate,
        total_steps=total,
        pct_start=max(training.warmup, 2 / total),
        cycle_momentum=has_momentum,
    )


def _factor(training: TrainingRecipe, name: ScheduleName, steps: int, epoch_steps: int) -> Callable[[int], float]:
    """The rate after some steps as a share of the recipe's."""
    period = training.decay_epochs * epoch_steps

    def cyclic(step: int) -> float:
        """Up and down in straight lines (Smith, 2017, arXiv:1506.01186)."""
        height = 1 - abs(step / period % 2 - 1)
        return LOWEST + (1 - LOWEST) * height

    factors: dict[ScheduleName, Callable[[int], float]] = {
        "none": lambda step: 1.0,
        "step": lambda step: float(training.decay_factor ** (step // period)),
        # down to 0 along half a cosine (Loshchilov and Hutter, 2017, arXiv:1608.03983), without restarts
        "cosine": lambda step: 0.5 + 0.5 * math.cos(math.pi * min(step / steps, 1.0)),
        "cyclic": cyclic,
    }
    return factors[name]
