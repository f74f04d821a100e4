"""The training loop on Lightning Fabric.

Every epoch's order is seeded by (seed, epoch) and every step by (seed, epoch, step), and by nothing else, so a training
that was cut off and resumed sees what it would have seen.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgeseg.dataset import Pair
from edgeseg.errors import MismatchError
from edgeseg.progress import Say, Track, quiet, silent
from edgeseg.proof.verdict.evaluation import mean_overlap_of
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.train.architectures.own_code import own_code_named
from edgeseg.train.architectures.registry import network_from_recipe
from edgeseg.train.augmentation import augmentation_from_recipe
from edgeseg.train.averaging import averaged
from edgeseg.train.checkpoint import load_last
from edgeseg.train.distillation import Teacher
from edgeseg.train.feeding import WaitClock, ahead, share_of
from edgeseg.train.hard_pixels import with_hard_pixels
from edgeseg.train.loss_watch import LOOK_EVERY, LossWatch, NotFiniteLossError, diverged
from edgeseg.train.losses import loss_from_recipe
from edgeseg.train.network import NormalisedNetwork
from edgeseg.train.network_outputs import supervised_loss
from edgeseg.train.optimisation import Descent
from edgeseg.train.predictor import session_from_network
from edgeseg.train.processes import Launch, lost_process_named, open_fabric
from edgeseg.train.recipe import Recipe
from edgeseg.train.record import Epoch, Progress
from edgeseg.train.reproducibility import epoch_seed, step_seed
from edgeseg.train.resuming import Keeper
from edgeseg.train.samples import IGNORED, Samples, batches, plan_batches, resized, sizes_px
from edgeseg.train.style_mixing import mix_styles
from edgeseg.train.targets import targets_of

Report = Callable[[Epoch], None]
Batch = tuple[Tensor, Tensor, tuple[int, int]]
"""Images and masks of a step, and the height and width at which the network sees them."""


class Trainer:
    """One training of one recipe into one RUN folder.

    Args:
        recipe: What to do; its precision is settled (`edgeseg.train.arithmetic`).
        run: The RUN folder; exists when `fit` is called.
        samples: The training split in memory.
        validation: Pairs whose mean Dice, at their own size, chooses the best epoch.
        negatives: Pictures that show nothing to find, in memory; None trains without.
        teacher: Softens the targets; None trains on the masks only. It moves to the device.
        fabric: A launched Fabric; None makes one for one device.
        network: What is trained; None makes the network that the recipe names.
    """

    def __init__(
        self,
        recipe: Recipe,
        run: Path,
        samples: Samples,
        validation: Sequence[Pair],
        negatives: Samples | None = None,
        teacher: Teacher | None = None,
        fabric: Any = None,
        network: NormalisedNetwork | None = None,
    ) -> None:
        self.recipe, self.run, self.samples, self.validation = recipe, run, samples, validation
        self.negatives = negatives
        training = recipe.training
        self.plan = plan_batches(samples, negatives, training.batch_size, training.negative_share)
        self.progress = Progress()
        assert training.precision != "auto"
        self.fabric = open_fabric(Launch(), training.precision) if fabric is None else fabric
        self.teacher = None if teacher is None else teacher.to(self.fabric.device)
        torch.manual_seed(training.seed)
        if network is None:
            network = NormalisedNetwork(
                network_from_recipe(recipe.model), recipe.preprocess_spec(), recipe.model.mirroring
            )
        self.descent = Descent(self.fabric, network, training, self.plan.count)
        self.average = averaged(self.bare_network, training.ema_decay)
        mix_styles(self.bare_network.network, training.style_mixing)
        self.augment = augmentation_from_recipe(recipe.augmentation)
        self.loss = with_hard_pixels(loss_from_recipe(training), training.hard_pixels)
        self.keeper = Keeper(run, recipe, self.descent, self.average, self.judged_network, self.fabric.world_size)

    @property
    def bare_network(self) -> NormalisedNetwork:
        """The network without the wrappers of Fabric, DDP and the compiler, sharing its weights."""
        return self.descent.bare_network

    @property
    def judged_network(self) -> NormalisedNetwork:
        """The network that is validated and kept as the best: the average of the weights, or the network itself."""
        if self.average is None:
            return self.bare_network
        module = self.average.module
        assert isinstance(module, NormalisedNetwork)
        return module

    def start_from(self, weights: Mapping[str, Tensor]) -> int:
        """Take over the weights of another training wherever name and shape agree; before the first step.

        Returns:
            How many tensors were taken over.

        Raises:
            MismatchError: No convolution fits; or not all weights are there and there is no epoch to learn the rest.
        """
        own = self.bare_network.network.state_dict()
        fitting = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
        if not any(value.ndim > 1 for value in fitting.values()):
            raise MismatchError(
                "none of the weights to start from fits this network",
                found=f"{len(weights)} tensors",
                expected=f"names and shapes of {self.recipe.model.architecture}",
            )
        missing = [name for name in own if name not in fitting and not name.endswith("num_batches_tracked")]
        if missing and self.recipe.training.epochs == 0:
            raise MismatchError(
                "the weights to start from are not all of this network's, and it has no epoch to learn the rest",
                found=f"{len(missing)} of {len(own)} tensors missing ({missing[0]})",
                expected=f"trainings of {self.recipe.model.architecture}, or of each of its parts",
                next_command="--set training.epochs=1  (or more)",
            )
        for network in (self.bare_network, self.judged_network):
            network.network.load_state_dict(fitting, strict=False)
        return len(fitting)

    def resume(self, say: Say = quiet) -> bool:
        """Take up the last state that was kept; where none was, the training starts with its first step.

        The first process reads it, and hands it to those that may sit on machines which do not see the RUN folder.

        Returns:
            Whether there was one.

        Raises:
            BadInputError: It cannot be read.
            MismatchError: It belongs to another recipe or architecture.
        """
        kept = load_last(self.run, self.recipe, say) if self.fabric.is_global_zero else None
        return self.keeper.resume(self.fabric.broadcast(kept), self.progress, say)

    def fit(
        self, report: Report, track: Track = silent, checkpoint_minutes: float = 10.0, epoch_checkpoint_s: float = 0.0
    ) -> None:
        """Run the epochs that are left.

        Args:
            report: Is called after each epoch in the first process, when its checkpoints are on disk.
            track: Draws the progress inside an epoch.
            checkpoint_minutes: After so long without a checkpoint one is written inside an epoch.
            epoch_checkpoint_s: An epoch that ends sooner after the last checkpoint writes none but that of a best
                epoch; the last epoch always does.

        Raises:
            BadInputError: The loss is no finite number, or a checkpoint cannot be written.
            LostProcessError: Another process has gone.
        """
        training, kept = self.recipe.training, -math.inf
        with lost_process_named(self.fabric.world_size):
            while not self.progress.is_over(training):
                row = self._epoch(self.progress.next_epoch, track, checkpoint_minutes * 60)
                self.progress.history.append(row)
                self.progress.losses = []
                if self.fabric.is_global_zero:
                    self.keeper.keep_best(self.progress)
                    if self.progress.is_over(training) or time.perf_counter() - kept >= epoch_checkpoint_s:
                        self.keeper.keep_last(self.progress)
                        kept = time.perf_counter()
                    report(row)

    def _epoch(self, number: int, track: Track, checkpoint_s: float) -> Epoch:
        started = time.perf_counter()
        epochs = self.recipe.training.epochs
        losses, wait_share = self.train_epoch(number, track, checkpoint_s) if epochs else ([math.nan], None)
        dice, iou = self._validate_once()
        self.descent.finish_epoch(dice)
        return Epoch(
            epoch=min(number, epochs),
            learning_rate=self.descent.schedule.get_last_lr()[0],
            train_loss=sum(losses) / len(losses),
            validation_dice=dice,
            validation_iou=iou,
            seconds=time.perf_counter() - started,
            data_wait_share=wait_share,
        )

    def train_epoch(
        self, number: int, track: Track = silent, checkpoint_s: float = math.inf
    ) -> tuple[list[float], float]:
        """Run the steps of an epoch that are left.

        Args:
            number: The epoch's number, from 1.
            track: Draws the progress.
            checkpoint_s: After so long without a checkpoint one is written.

        Returns:
            The losses of all steps, and the share of the time that went into waiting for batches.

        Raises:
            BadInputError: The loss is no finite number.
        """
        training, fabric, count = self.recipe.training, self.fabric, self.plan.count
        done, started, clock = len(self.progress.losses), time.perf_counter(), WaitClock()
        average = None if fabric.world_size == 1 else (lambda losses: fabric.all_reduce(losses, reduce_op="mean"))
        watch = LossWatch(count, fabric.device, average, self.progress.losses)
        steps = clock.timed(ahead(lambda: self.batches_of(number, done)))
        self.descent.network.train()
        saved = started
        try:
            for batch in track(steps, f"epoch {number}/{training.epochs}", count - done):
                torch.manual_seed(step_seed(training.seed, number, watch.steps, fabric.global_rank))
                watch.add(self._step(batch))
                if watch.steps < count and self._agreed(time.perf_counter() - saved >= checkpoint_s, watch.steps):
                    self.progress.losses = watch.values()
                    if fabric.is_global_zero:
                        self.keeper.keep_last(self.progress)
                    saved = time.perf_counter()
            losses = watch.values()
        except NotFiniteLossError as error:
            raise diverged(error, number, training.learning_rate) from error
        return losses, clock.seconds / max(time.perf_counter() - started, 1e-9)

    def _agreed(self, due: bool, step: int) -> bool:
        """Ask the first process what it decides, now and then: clocks differ, and all must look at the same step."""
        if self.fabric.world_size == 1:
            return due
        return step % LOOK_EVERY == 0 and bool(self.fabric.broadcast(due))

    def batches_of(self, number: int, first: int = 0) -> Iterator[Batch]:
        """Make the batches of this process for an epoch, from a step on."""
        seed = epoch_seed(self.recipe.training.seed, number)
        steps = zip(batches(self.samples, self.negatives, self.plan, seed), sizes_px(self.recipe, seed), strict=False)
        rank, world_size = self.fabric.global_rank, self.fabric.world_size
        for (images, masks), size_px in itertools.islice(steps, first, None):
            yield share_of(images, rank, world_size), share_of(masks, rank, world_size), size_px

    def _step(self, batch: Batch) -> Tensor:
        loss = self.loss_of(batch)
        with self._own_code():
            self.descent.step(loss)
        if self.average is not None:
            self.average.update_parameters(self.bare_network)
        return loss.detach()

    def loss_of(self, batch: Batch) -> Tensor:
        """The loss of a batch as it comes from the samples: moved, resized, augmented, run through the network."""
        images, masks, size_px = batch
        images, masks = self.fabric.to_device((images, masks))
        images, masks = self.augment(*resized(images, masks, *size_px))
        with self._own_code():
            output = self.descent.network(images.contiguous(memory_format=torch.channels_last))
        weights = self.recipe.training.auxiliary_weights
        if not self.samples.has_ignored:
            return supervised_loss(self.loss, output, self._targets(images, masks), weights)
        judged = masks < IGNORED
        targets = self._targets(images, masks * judged)
        return supervised_loss(self.loss, output, targets, weights, judged.float())

    def _own_code(self) -> contextlib.AbstractContextManager[None]:
        """Tell what the user's own network raises as theirs; beside other processes it may be these that have gone."""
        alone = self.fabric.world_size == 1
        return own_code_named(self.recipe.model.architecture, "fails in training", every=alone)

    def _targets(self, images: Tensor, masks: Tensor) -> Tensor:
        model, smoothing = self.recipe.model, self.recipe.training.label_smoothing
        with self.fabric.autocast():
            return targets_of(images, masks, model.out_channels, self.teacher, smoothing)

    def _validate_once(self) -> tuple[float, float]:
        """The first process validates, the others wait for what it found."""
        score = self._validate() if self.fabric.is_global_zero else (0.0, 0.0)
        dice, iou = self.fabric.broadcast(score)
        return dice, iou

    def _validate(self) -> tuple[float, float]:
        session = session_from_network(
            self.judged_network, self.recipe.model_spec(), self.recipe.preprocess_spec(), self.recipe.sha256
        )
        return mean_overlap_of(engine_of(session), self.validation)
