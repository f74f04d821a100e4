"""Keeps in the RUN folder what a training needs to be cut off anywhere, and takes it up again.

The order of writing is part of it: best.pt, then last.pt, then run.json and history.csv. A training that ends between
two of them goes on from last.pt and writes the rest again, the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.optim.swa_utils import AveragedModel

from edgeseg.errors import BadInputError
from edgeseg.packages import RUN_CHECKPOINT, RUN_RECIPE
from edgeseg.progress import Say
from edgeseg.shell import quoted
from edgeseg.train import checkpoint
from edgeseg.train.network import NormalisedNetwork
from edgeseg.train.optimisation import Descent
from edgeseg.train.recipe import Recipe
from edgeseg.train.record import Epoch, Progress


@dataclass(frozen=True)
class Keeper:
    """Writes and reads the checkpoints of one training."""

    run: Path
    recipe: Recipe
    descent: Descent
    average: AveragedModel | None
    judged_network: NormalisedNetwork
    """The network that was validated."""
    world_size: int
    """Processes of the training."""

    def keep_best(self, progress: Progress) -> None:
        """Keep the weights of the epoch that has ended, where it is the best so far or the recipe keeps the last one.

        Raises:
            UnwritableError: The disk is full; what was kept before stays.
        """
        if progress.kept(self.recipe.training) is progress.history[-1]:
            network = self.judged_network
            best = {
                "network": network.network.state_dict(),
                **network.beside_weights(),
                **self._origin(progress.history),
            }
            checkpoint.save(self.run / RUN_CHECKPOINT, best)

    def keep_last(self, progress: Progress) -> None:
        """Keep all that going on from here needs; between two steps.

        Raises:
            UnwritableError: The disk is full; what was kept before stays.
        """
        state = {
            **self._origin(progress.history),
            "network": self.descent.bare_network.network.state_dict(),
            **self.descent.bare_network.beside_weights(),
            "average": None if self.average is None else self.average.state_dict(),
            **self.descent.state_dict(),
            "history": [row.model_dump() for row in progress.history],
            "losses": progress.losses,
            "world_size": self.world_size,
        }
        checkpoint.save_last(self.run, state)

    def resume(self, content: dict[str, Any] | None, progress: Progress, say: Say) -> bool:
        """Take up a state that was kept; where there is none, nothing changes.

        Args:
            content: What `checkpoint.load_last` gave.
            progress: Receives the history.
            say: Takes lines for the person.

        Returns:
            Whether there was one.

        Raises:
            BadInputError: It does not hold together.
            MismatchError: It belongs to another architecture.
        """
        if content is None:
            say("no step was kept yet: the training starts again")
            return False
        path = self.run / checkpoint.LAST
        checkpoint.load_weights(path, self.descent.bare_network.network, content["network"])
        try:
            self._take(content, path, progress)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise BadInputError(
                f"the training cannot go on from {path}",
                found=f"{type(error).__name__} {error}".splitlines()[0][:200],
                expected="weights, optimiser and history as the training wrote them",
                next_command=f"edgeseg train DATA --out ANOTHER --recipe {quoted(self.run / RUN_RECIPE)}",
            ) from error
        former = content.get("world_size", 1)
        if former != self.world_size:
            say(
                f"started with {former} processes, resumed with {self.world_size}: "
                "rounding and batch statistics differ, so the result will not equal the uninterrupted one"
            )
        return True

    def _take(self, content: dict[str, Any], path: Path, progress: Progress) -> None:
        for network in (self.descent.bare_network, self.judged_network):
            network.take_beside_weights(content)
        if self.average is not None:
            checkpoint.load_weights(path, self.average, content["average"])
        self.descent.load_state_dict(content)
        progress.history = [Epoch.model_validate(row) for row in content["history"]]
        progress.losses = list(content.get("losses", ()))

    def _origin(self, history: Sequence[Epoch]) -> dict[str, Any]:
        return {"recipe_sha256": self.recipe.sha256, "epoch": len(history)}


def remove_leftovers(run: Path) -> None:
    """Take away what a killed training left half written. No other training may be at work in `run`."""
    for path in leftovers(run):
        path.unlink(missing_ok=True)


def leftovers(run: Path) -> list[Path]:
    """Half-written files in a RUN folder: `edgeseg.files.atomic_file` names them `.NAME-RANDOM.SUFFIX`."""
    stems = (".best-", ".last-", ".run-", ".history-", ".curves-", ".recipe-")
    return [path for path in run.iterdir() if path.name.startswith(stems) and path.is_file()]
