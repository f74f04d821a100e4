"""The losses of an epoch, kept on the device, so that no step waits for its own loss to arrive on the host."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from edgeseg.errors import BadInputError

LOOK_EVERY = 25
"""Steps between two looks where looking makes the host wait for the device or for other processes."""


class LossWatch:
    """Collects the losses of one epoch and refuses those that are not finite.

    Args:
        count: Steps of the epoch.
        device: The device that the losses come from.
        average: Means a tensor over the processes; None where there is one process.
        former: Losses of the epoch's steps that were done before this process took it up.
    """

    def __init__(
        self,
        count: int,
        device: torch.device,
        average: Callable[[Tensor], Tensor] | None = None,
        former: Sequence[float] = (),
    ) -> None:
        self._losses = torch.zeros(count, dtype=torch.float32, device=device)
        self._losses[: len(former)] = torch.tensor(former, dtype=torch.float32)
        self._average = average
        self._every = 1 if device.type == "cpu" and average is None else LOOK_EVERY
        self.steps = self._looked = len(former)

    def add(self, loss: Tensor) -> None:
        """Keep the loss of the next step, a scalar.

        Raises:
            NotFiniteLossError: NaN or infinity, of this step or of one since the last look.
        """
        self._losses[self.steps] = loss.detach()
        self.steps += 1
        if self.steps - self._looked >= self._every:
            self.look()

    def look(self) -> None:
        """Fetch what came since the last look. Several processes must look at the same step.

        Raises:
            NotFiniteLossError: A loss is NaN or infinite, in whichever process.
        """
        fresh = self._losses[self._looked : self.steps]
        if self._average is not None and len(fresh):
            fresh.copy_(self._average(fresh.clone()))
        for step, value in enumerate(fresh.tolist(), self._looked):
            if not math.isfinite(value):
                raise NotFiniteLossError(value, step)
        self._looked = self.steps

    def values(self) -> list[float]:
        """The losses of all steps done, means over the processes; looks first."""
        self.look()
        values: list[float] = self._losses[: self.steps].tolist()
        return values


class NotFiniteLossError(BadInputError):
    """A step gave a loss that is NaN or infinite.

    Args:
        value: The loss.
        step: The step within the epoch, from 0.
    """

    def __init__(self, value: float, step: int) -> None:
        self.value, self.step = value, step
        super().__init__("the training diverged", found=f"a loss of {value} in step {step + 1}")


class DivergedError(BadInputError):
    """A training diverged."""


def diverged(error: NotFiniteLossError, epoch: int, learning_rate: float) -> DivergedError:
    """The same for a person: where it was, what is kept, what to try."""
    return DivergedError(
        error.what,
        found=f"a loss of {error.value} in epoch {epoch}, step {error.step + 1}",
        expected="a finite loss; the checkpoints of the last good epoch are kept",
        next_command=f"edgeseg train DATA --out RUN --set training.learning_rate={learning_rate / 3:.1g}  "
        "(--find-lr looks for a rate)",
    )
