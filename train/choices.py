"""The names that a recipe chooses among: losses, optimisers, schedules."""

from __future__ import annotations

from typing import Literal

LossName = Literal[
    "bce",
    "cross-entropy",
    "dice",
    "weighted-dice",
    "bce+dice",
    "inverse-dice+bce",
    "cross-entropy+dice",
    "switching",
    "focal-tversky",
    "structure",
]
SEVERAL_CLASSES: frozenset[LossName] = frozenset({"cross-entropy", "cross-entropy+dice"})
"""Losses for several classes alone."""
ANY_CLASSES: frozenset[LossName] = frozenset({"dice", "weighted-dice", "focal-tversky"})
"""Losses for one class and for several; all others are for one."""
OptimiserName = Literal["adamw", "adam", "adagrad", "adadelta", "adamax", "rmsprop", "sgd"]
ScheduleName = Literal["one-cycle", "none", "step", "plateau", "cosine", "cyclic"]
