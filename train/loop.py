"""The training loop on Lightning Fabric.

Every epoch is seeded by (seed, epoch) alone, so a training that was cut off and resumed sees what it would have seen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.dataset import Pair
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.optional import require
from edgeseg.packages import RUN_CHECKPOINT
from edgeseg.progress import Track, silent
from edgeseg.runtime.verify.evaluation import evaluate
from edgeseg.train import checkpoint
from edgeseg.train.architectures.registry import network_from_recipe
from edgeseg.train.augmentation import augmentation_from_recipe
from edgeseg.train.averaging import averaged
from edgeseg.train.distillation import Teacher
from edgeseg.train.losses import LOSSES
from edgeseg.train.network import NormalisedNetwork
from edgeseg.train.predictor import session_from_network
from edgeseg.train.recipe import Recipe
from edgeseg.train.record import Epoch
from edgeseg.train.samples import Samples, batches, plan_batches, resized

Report = Callable[[Epoch], None]


@dataclass
class Progress:
    """How far a training has come; what `last.pt` keeps beside weights and optimiser."""

    history: list[Epoch] = field(default_factory=list)

    @property
    def next_epoch(self) -> int:
        """Number of the epoch to run next, from 1."""
        return len(self.history) + 1

    @property
    def best(self) -> Epoch:
        """The epoch of the highest validation Dice, the first of equals."""
        return max(self.history, key=lambda row: row.validation_dice)

    def exhausted(self, patience: int) -> bool:
        """Whether early stopping says that it is enough."""
        return patience > 0 and bool(self.history) and self.history[-1].epoch - self.best.epoch >= patience


class Trainer:
    """One training of one recipe into one RUN folder.

    Args:
        recipe: What to do.
        run: The RUN folder, which exists.
        samples: The training split in memory.
        negatives: Pictures that show nothing to find, in memory; None trains without.
        teacher: What softens the targets; None trains on the masks alone.
        validation: Pairs whose mean Dice, at their own size, chooses the best epoch.
    """

    def __init__(
        self,
        recipe: Recipe,
        run: Path,
        samples: Samples,
        validation: Sequence[Pair],
        negatives: Samples | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        self.recipe, self.run, self.samples, self.validation = recipe, run, samples, validation
        self.negatives, self.teacher = negatives, teacher
        training = recipe.training
        self.plan = plan_batches(samples, negatives, training.batch_size, training.negative_share)
        self.progress = Progress()
        torch.manual_seed(recipe.training.seed)
        network = network_from_recipe(recipe.model)
        self.fabric: Any = require("lightning_fabric").Fabric(
            accelerator="auto", devices=1, precision=recipe.training.precision
        )
        network = NormalisedNetwork(network, recipe.preprocess_spec()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=recipe.training.learning_rate, weight_decay=recipe.training.weight_decay
        )
        self.schedule = self._one_cycle(optimiser)
        self.network, self.optimiser = self.fabric.setup(network, optimiser)
        self.average = averaged(self.bare_network, training.ema_decay)
        self.augment = augmentation_from_recipe(recipe.augmentation)
        self.loss = LOSSES[recipe.training.loss]

    def _one_cycle(self, optimiser: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        """Rise and fall of the learning rate over all steps (Smith and Topin, 2017, arXiv:1708.07120)."""
        training = self.recipe.training
        steps = training.epochs * self.plan.count
        total = max(steps, 4)  # the schedule divides by the lengths of its two phases
        return torch.optim.lr_scheduler.OneCycleLR(
            optimiser, training.learning_rate, total_steps=total, pct_start=max(training.warmup, 2 / total)
        )

    @property
    def bare_network(self) -> NormalisedNetwork:
        """The network without Fabric's wrapper, sharing its weights."""
        module: NormalisedNetwork = self.network.module
        return module

    @property
    def judged_network(self) -> NormalisedNetwork:
        """What is validated and kept as the best: the average of the weights, or the network itself."""
        if self.average is None:
            return self.bare_network
        module = self.average.module
        assert isinstance(module, NormalisedNetwork)
        return module

    def start_from(self, weights: dict[str, Tensor]) -> int:
        """Take over the weights of another training wherever name and shape agree.

        Returns:
            How many tensors were taken over.

        Raises:
            MismatchError: No convolution fits.
        """
        own = self.bare_network.network.state_dict()
        fitting = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
        if not any(value.ndim > 1 for value in fitting.values()):
            raise MismatchError(
                "none of the weights to start from fits this network",
                found=f"{len(weights)} tensors",
                expected=f"names and shapes of {self.recipe.model.architecture}",
            )
        self.bare_network.network.load_state_dict(fitting, strict=False)
        self.average = averaged(self.bare_network, self.recipe.training.ema_decay)
        return len(fitting)

    def resume(self) -> None:
        """Take up the state of `last.pt`.

        Raises:
            BadInputError: There is none.
            MismatchError: It belongs to another recipe.
        """
        path = self.run / checkpoint.LAST
        content = checkpoint.load(path)
        checkpoint.check_recipe(path, content, self.recipe)
        self.bare_network.network.load_state_dict(content["network"])
        if self.average is not None:
            self.average.load_state_dict(content["average"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.schedule.load_state_dict(content["schedule"])
        self.progress.history = [Epoch.model_validate(row) for row in content["history"]]

    def fit(self, report: Report, track: Track = silent) -> None:
        """Run the epochs that are left.

        Args:
            report: Is called after each epoch, when its checkpoints are on disk.
            track: Draws the progress inside an epoch.

        Raises:
            BadInputError: The loss is no finite number.
        """
        training = self.recipe.training
        while self.progress.next_epoch <= training.epochs and not self.progress.exhausted(training.patience):
            row = self._epoch(self.progress.next_epoch, track)
            self.progress.history.append(row)
            self._save()
            report(row)

    def _epoch(self, number: int, track: Track) -> Epoch:
        training, started = self.recipe.training, time.perf_counter()
        torch.manual_seed(training.seed * 100_003 + number)
        steps = batches(self.samples, self.negatives, self.plan, seed=training.seed * 100_003 + number)
        self.network.train()
        losses = [self._step(*batch) for batch in track(steps, f"epoch {number}/{training.epochs}", self.plan.count)]
        score = self._validate()
        return Epoch(
            epoch=number,
            learning_rate=float(self.schedule.get_last_lr()[0]),
            train_loss=sum(losses) / len(losses),
            validation_dice=score[0],
            validation_iou=score[1],
            seconds=time.perf_counter() - started,
        )

    def _step(self, images: Tensor, masks: Tensor) -> float:
        images, masks = self.fabric.to_device((images, masks))
        images, masks = self.augment(*resized(images, masks, *self._batch_size_px()))
        logits = self.network(images.contiguous(memory_format=torch.channels_last))
        loss = self.loss(logits.float(), self._targets(images, masks))
        value = float(loss.detach())
        if not math.isfinite(value):
            lower = f"{self.recipe.training.learning_rate / 3:.1g}"
            raise BadInputError(
                "the training diverged",
                found=f"a loss of {value} in epoch {self.progress.next_epoch}",
                expected="a finite loss; the checkpoints of the last good epoch are kept",
                next_command=f"edgeseg train DATA --out RUN --set training.learning_rate={lower}",
            )
        self.optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.bare_network)
        return value

    def _targets(self, images: Tensor, masks: Tensor) -> Tensor:
        """What the logits are held against: the masks, softened by teachers and label smoothing."""
        if self.teacher is not None:
            with self.fabric.autocast():
                masks = self.teacher.targets(images, masks)
        smoothing = self.recipe.training.label_smoothing
        return masks * (1 - 2 * smoothing) + smoothing if smoothing else masks

    def _batch_size_px(self) -> tuple[int, int]:
        """Height and width of this batch: the network's, or drawn from the recipe's sizes."""
        model, sizes = self.recipe.model, self.recipe.training.sizes
        if not sizes:
            return model.height, model.width
        height = sizes[int(torch.randint(len(sizes), ()))]
        return height, height * model.width // model.height

    def _validate(self) -> tuple[float, float]:
        session = session_from_network(
            self.judged_network, self.recipe.model_spec(), self.recipe.preprocess_spec(), self.recipe.sha256
        )
        result = evaluate(session, self.validation)
        return result.mean_dice, result.mean_iou

    def _save(self) -> None:
        origin = {"recipe_sha256": self.recipe.sha256, "epoch": self.progress.history[-1].epoch}
        if self.progress.best is self.progress.history[-1]:
            best = {"network": self.judged_network.network.state_dict(), **origin}
            checkpoint.save(self.run / RUN_CHECKPOINT, best)
        state = {
            **origin,
            "network": self.bare_network.network.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": [row.model_dump() for row in self.progress.history],
        }
        checkpoint.save(self.run / checkpoint.LAST, state)
