"""A RUN folder's own record, `run.json`, `history.csv` and `curves.png`; and how far its training has come."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pydantic

from edgeseg.errors import BadInputError
from edgeseg.files import read_text, write_bytes, write_text
from edgeseg.optional import require
from edgeseg.shell import quoted
from edgeseg.train.recipe import TrainingRecipe
from edgeseg.values import Part, Value, describe_validation

RUN_RECORD = "run.json"
HISTORY = "history.csv"
CURVES = "curves.png"


class Epoch(Part):
    """One row of the history."""

    epoch: int
    """Counted from 1; 0 where the recipe has no epoch, for the weights that the training started from."""
    learning_rate: float
    """Learning rate at the epoch's end."""
    train_loss: float
    """Mean over the epoch's steps; not a number where there was none."""
    validation_dice: float
    validation_iou: float
    seconds: float
    """Duration of training and validation; for an epoch that was cut off, the time since it was resumed."""
    data_wait_share: float | None = None
    """Share of the training time in which the loop waited for its batches; None in older histories."""


@dataclass
class Progress:
    """How far a training has come; what `last.pt` keeps beside weights and optimiser."""

    history: list[Epoch] = field(default_factory=list)
    """One row for each epoch done."""
    losses: list[float] = field(default_factory=list)
    """Losses of the steps done in the epoch after those; none between two epochs."""

    @property
    def next_epoch(self) -> int:
        """Number of the epoch to run next, from 1."""
        return len(self.history) + 1

    @property
    def best(self) -> Epoch:
        """The epoch of the highest validation Dice, the first of equals; there must be one."""
        return max(self.history, key=lambda row: row.validation_dice)

    def kept(self, training: TrainingRecipe) -> Epoch:
        """The epoch whose weights are kept; there must be one."""
        return self.history[-1] if training.keep == "last" else self.best

    def is_over(self, training: TrainingRecipe) -> bool:
        """Tell whether all epochs are done, or early stopping says that it is enough."""
        return self.next_epoch > max(1, training.epochs) or self.exhausted(training.patience)

    def exhausted(self, patience: int) -> bool:
        """Tell whether early stopping says that it is enough."""
        return patience > 0 and bool(self.history) and self.history[-1].epoch - self.best.epoch >= patience


@dataclass(frozen=True)
class Origin:
    """The sources of a training, besides its recipe."""

    data_sha256: str
    """Hash of the train and validation pairs, the negatives and the teachers' weights."""
    start_sha256: str | None = None
    """Hash of the checkpoint or graph that it started from; None if it started from the recipe's own weights."""
    precision_reason: str | None = None
    """Why the recipe's precision is what it is; None in RUNs from before this was kept."""
    qat_sha256: str | None = None
    """Hash of the checkpoint that it trained on for INT8; None if the training was not quantisation-aware."""


class RunRecord(Value):
    """The summary of a training."""

    finished: bool
    epochs: int
    """Done so far."""
    best_epoch: int
    """The epoch whose weights are kept: the best, or the last where the recipe says so; 0 before the first one is
    done."""
    best_validation_dice: float
    """The validation Dice of that epoch."""
    data_sha256: str
    """Hash of the train and validation pairs, the negatives and the teachers' weights."""
    start_sha256: str | None = None
    """Hash of the checkpoint or graph that it started from; None if it started from the recipe's own weights."""
    qat_sha256: str | None = None
    """Hash of the checkpoint that it trained on for INT8; None if the training was not quantisation-aware."""
    recipe_sha256: str
    precision_reason: str | None = None
    """Why the recipe's precision is what it is; None in RUNs from before this was kept."""
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


def read_history(run: Path) -> list[Epoch]:
    """Read back what `write_history` wrote; none where no epoch is done yet.

    Raises:
        BadInputError: The file cannot be read.
    """
    if not (run / HISTORY).is_file():
        return []
    path = run / HISTORY
    rows = csv.DictReader(io.StringIO(read_text(path, "a history")))
    try:
        return [Epoch.model_validate({name: value or None for name, value in row.items()}) for row in rows]
    except (csv.Error, pydantic.ValidationError, TypeError) as error:
        found = describe_validation(error) if isinstance(error, pydantic.ValidationError) else error
        raise BadInputError(
            f"{path} is no history of a training",
            found=found,
            expected=f"the columns {', '.join(Epoch.model_fields)}",
            next_command=f"edgeseg train DATA --out {quoted(run)} --resume writes it again",
        ) from error


def write_curves(run: Path, history: Sequence[Epoch]) -> None:
    """Draw loss and validation Dice over the epochs.

    Raises:
        UnwritableError: The disk is full.
    """
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
    with io.BytesIO() as stream:
        figure.savefig(stream, format="png", dpi=130)
        write_bytes(run / CURVES, stream.getvalue())
    pyplot.close(figure)
