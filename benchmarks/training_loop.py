"""edgeseg's training loop against a plain PyTorch loop: epochs of both alternated in one run.

Both loops train the same network from the same weights on the same pictures, with the same batch, precision,
augmentation, loss, clipping and schedule. The plain one is what a person writes first: it cuts each batch out of the
tensors itself, and lets the step wait for it. Beside the clock's time stands the processor's, all threads together,
which other programs of a shared machine disturb less; on a GPU the clock alone counts.

Usage: python benchmarks/training_loop.py [--set SECTION.KEY=VALUE]... [--steps 8] [--rounds 5]
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from edgeseg.train.arithmetic import settled
from edgeseg.train.augmentation import augmentation_from_recipe
from edgeseg.train.loop import Trainer
from edgeseg.train.losses import loss_from_recipe
from edgeseg.train.recipe import Recipe, read_recipe
from edgeseg.train.samples import Samples

SETTINGS = ("model.architecture=lite0-unet", "model.pretrained=false", "model.height=224", "model.width=224")
LEAST_RATIO, MOST_WAITING = 0.97, 0.03


class PlainLoop:
    """The same training by PyTorch alone."""

    def __init__(self, recipe: Recipe, network: nn.Module, samples: Samples, device: torch.device) -> None:
        self.recipe, self.samples, self.device = recipe, samples, device
        training = recipe.training
        self.network = network.train()
        self.augment, self.loss = augmentation_from_recipe(recipe.augmentation), loss_from_recipe(training)
        self.optimiser = torch.optim.AdamW(network.parameters(), training.learning_rate)
        steps = training.epochs * (len(samples) // training.batch_size)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimiser, training.learning_rate, total_steps=steps)

    def train_epoch(self, number: int) -> list[float]:
        """The losses of an epoch."""
        torch.manual_seed(number)
        training, losses = self.recipe.training, []
        for rows in torch.randperm(len(self.samples)).split(training.batch_size):
            images = self.samples.images[rows].float().div(255).to(self.device)
            images, masks = self.augment(images, self.samples.masks[rows].float().to(self.device))
            images = images.contiguous(memory_format=torch.channels_last)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=training.precision == "bf16-mixed"):
                logits = self.network(images)
            loss = self.loss(logits.float(), masks)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), training.gradient_clip)
            self.optimiser.step()
            self.schedule.step()
            losses.append(loss.item())
        return losses


def random_samples(recipe: Recipe, count: int) -> Samples:
    """Pictures and masks of noise: a step takes as long on them as on any other."""
    generator = torch.Generator().manual_seed(0)
    size = recipe.model.height, recipe.model.width
    images = torch.randint(256, (count, *size, 3), dtype=torch.uint8, generator=generator).permute(0, 3, 1, 2)
    return Samples(images, torch.randint(2, (count, 1, *size), dtype=torch.uint8, generator=generator))


def main(settings: list[str], steps: int, rounds: int) -> None:
    """Print the medians of all rounds."""
    recipe, arithmetic = settled(read_recipe(None, [*SETTINGS, *settings, f"training.epochs={rounds + 1}"]))
    print(arithmetic)
    samples = random_samples(recipe, steps * recipe.training.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(recipe, Path(folder), samples, validation=())
        plain = PlainLoop(recipe, copy.deepcopy(trainer.bare_network), samples, trainer.fabric.device)
        waits = []

        def edgeseg_epoch(number: int) -> None:
            waits.append(trainer.train_epoch(number)[1])

        loops = {"edgeseg": edgeseg_epoch, "plain": plain.train_epoch}
        wall, processor = alternated(loops, rounds, steps)
    print(
        f"median of {rounds} rounds: plain / edgeseg {wall:.3f} (at least {LEAST_RATIO}), of processor time "
        f"{processor:.3f}, waited for data {statistics.median(waits[1:]):.2%} (less than {MOST_WAITING:.0%})"
    )


def alternated(loops: dict[str, Callable[[int], object]], rounds: int, steps: int) -> tuple[float, float]:
    """Median ratios plain / edgeseg of the clock's and the processor's time, after one round that does not count."""
    walls, processors = [], []
    for number in range(1, rounds + 2):
        seconds = {}
        for name in ("edgeseg", "plain") if number % 2 else ("plain", "edgeseg"):
            started, busy = time.perf_counter(), time.process_time()
            loops[name](number)
            seconds[name] = (time.perf_counter() - started) / steps, (time.process_time() - busy) / steps
        if number == 1:
            continue
        (edgeseg_wall, edgeseg_busy), (plain_wall, plain_busy) = seconds["edgeseg"], seconds["plain"]
        walls.append(plain_wall / edgeseg_wall)
        processors.append(plain_busy / edgeseg_busy)
        print(
            f"edgeseg {edgeseg_wall:.3f} s a step, plain {plain_wall:.3f} s: {walls[-1]:.3f}; "
            f"processor {edgeseg_busy:.3f} s and {plain_busy:.3f} s: {processors[-1]:.3f}",
            flush=True,
        )
    return statistics.median(walls), statistics.median(processors)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", dest="settings", metavar="KEY=VALUE", action="append", default=[])
    parser.add_argument("--steps", type=int, default=8, help="of an epoch")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    main(arguments.settings, arguments.steps, arguments.rounds)
