"""What a RUN folder says of itself: `run.json`, `history.csv`, `curves.png`."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from edgeseg.files import atomic_file, write_text
from edgeseg.optional import require
from edgeseg.values import Part, Value

RUN_RECORD = "run.json"
HISTORY = "history.csv"
CURVES = "curves.png"


class Epoch(Part):
    """One row of the history."""

    epoch: int
    learning_rate: float
    """At the epoch's end."""
    train_loss: float
    validation_dice: float
    validation_iou: float
    seconds: float


class RunRecord(Value):
    """The summary of a training."""

    finished: bool
    epochs: int
    best_epoch: int
    best_validation_dice: float
    data_sha256: str
    """Of the train and validation pairs, and of the negatives."""
    recipe_sha256: str
    seed: int
    parameters: int
    tools: dict[str, str]


def write_history(run: Path, history: Sequence[Epoch]) -> None:
    """Write the history as CSV."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(Epoch.model_fields))
    writer.writeheader()
    writer.writerows(row.model_dump() for row in history)
    write_text(run / HISTORY, stream.getvalue())


def write_curves(run: Path, history: Sequence[Epoch]) -> None:
    """Draw loss and validation Dice over the epochs."""
    require("matplotlib").use("Agg")
    pyplot = require("matplotlib.pyplot")
    epochs = [row.epoch for row in history]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    left.plot(epochs, [row.train_loss for row in history], color="#0072b2", marker=".")
    left.set(xlabel="epoch", ylabel="training loss")
    right.plot(epochs, [row.validation_dice for row in history], color="#d55e00", marker=".", label="Dice")
    right.plot(epochs, [row.validation_iou for row in history], color="#009e73", marker=".", label="IoU")
    best = max(history, key=lambda row: row.validation_dice)
    right.axvline(best.epoch, color="grey", linewidth=0.8, linestyle=":")
    right.set(xlabel="epoch", ylabel="validation", title=f"best Dice {best.validation_dice:.4f} in epoch {best.epoch}")
    right.legend(loc="lower right")
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.xaxis.get_major_locator().set_params(integer=True)
    with atomic_file(run / CURVES) as temporary:
        figure.savefig(temporary, dpi=130)
    pyplot.close(figure)
