"""Trains a network without batch norm in two processes; run by test_processes.py and test_several_nodes.py.

Batch norm would see a share of the batch in each process, so a network without it is what can equal one process.
"""

import os
import signal
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from edgeseg.train import loop
from edgeseg.train.processes import Launch
from edgeseg.train.recipe import Recipe, read_recipe
from edgeseg.train.training import train

SETTINGS = ["model.height=32", "model.width=32", "training.epochs=2", "training.batch_size=4"]
SETTINGS += ["training.precision=32-true"]  # the tests compare to float32's rounding
SETTINGS += [f"augmentation.{name}=0" for name in ("rotation_deg", "translation", "scale", "blur", "hue")]
SETTINGS += [f"augmentation.{name}=0" for name in ("brightness", "contrast", "saturation")]
SETTINGS += ["augmentation.flip=false", "training.ema_decay=0.5", "training.sizes=[16, 32, 48]"]


def plain_network(*_: object, **__: object) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 8, 5, padding=2), nn.GroupNorm(2, 8), nn.ReLU(), nn.Conv2d(8, 1, 1))


def recipe() -> Recipe:
    return read_recipe(None, SETTINGS)


def misbehave(how: str) -> None:
    """Let the second process die or stop in the second epoch."""
    former, calls = loop.Trainer._step, iter(range(100))

    def step(self: loop.Trainer, *batch: loop.Batch) -> Tensor:
        if self.fabric.global_rank == 1 and next(calls) == 3:
            os.kill(os.getpid(), signal.SIGKILL if how == "die" else signal.SIGSTOP)
        return former(self, *batch)

    loop.Trainer._step = step  # type: ignore[method-assign]


def main(data: Path, run: Path, how: str, negatives: Path) -> None:
    loop.network_from_recipe = plain_network
    misbehave(how) if how in ("die", "stop") else None
    timeout = 1.0 if how == "stop" else 30.0
    devices = 1 if "TORCHELASTIC_RUN_ID" in os.environ else 2  # torchrun has started the other one
    launch = Launch(devices, timeout_minutes=timeout)
    train(data, run, recipe(), negatives=negatives, launch=launch, resume=how == "resume")


if __name__ == "__main__":
    from edgeseg.errors import EdgesegError

    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
    except EdgesegError as error:
        print(error, file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
