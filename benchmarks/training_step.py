"""One training step: memory format, precision, gradients; alternated in one run; `python benchmarks/training_step.py`.

Processor time, all threads together, as other programs of a shared machine disturb it less; OMP_NUM_THREADS=1 leaves
out the waiting of threads for each other. Beside it the ratio to channels-last float32, which is what training does.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.train import depthwise
from edgeseg.train.architectures.registry import network_from_recipe
from edgeseg.train.arithmetic import this_machine
from edgeseg.train.recipe import read_recipe

STEPS = 5
NETWORKS = ("lite0-unet", "ultra-lite0-unet")


class Variant(NamedTuple):
    """A way to compute the step."""

    channels_last: bool
    bf16: bool
    native: bool = False
    """True: PyTorch's own gradients of depthwise convolutions; they differ in bf16 alone."""

    def __str__(self) -> str:
        layout = "channels-last" if self.channels_last else "contiguous"
        return f"{layout} {'bf16' if self.bf16 else 'float32'}{', PyTorch gradients' if self.native else ''}"


REFERENCE = Variant(channels_last=True, bf16=False)
VARIANTS = (
    REFERENCE,
    Variant(False, False),
    Variant(True, True),
    Variant(True, True, native=True),
    Variant(False, True),
)


class _Native:
    """Takes the place of edgeseg's gradients of depthwise convolutions."""

    @staticmethod
    def apply(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        return F.conv2d(x, weight, None, stride, padding, 1, len(weight))


def step_of(architecture: str, side_px: int, batch: int, variant: Variant) -> Callable[[], float]:
    """A function that trains one step and gives its processor time in seconds."""
    layout = torch.channels_last if variant.channels_last else torch.contiguous_format
    sizes = [f"model.height={side_px}", f"model.width={side_px}", "model.pretrained=false"]
    recipe = read_recipe(None, [f"model.architecture={architecture}", *sizes])
    network: nn.Module = network_from_recipe(recipe.model).train().to(memory_format=layout)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), 1e-4, fused=True)
    images = torch.rand(batch, 3, side_px, side_px).contiguous(memory_format=layout)

    def step() -> float:
        native = mock.patch.object(depthwise, "_DepthwiseGradients", _Native) if variant.native else None
        started = time.process_time()
        with native or contextlib.nullcontext(), torch.autocast("cpu", torch.bfloat16, enabled=variant.bf16):
            loss = network(images).float().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return time.process_time() - started

    return step


def measure(architecture: str, side_px: int, batch: int, variants: Sequence[Variant]) -> None:
    """Print the median of each variant and of its ratio to the reference in the same round."""
    steps = {variant: step_of(architecture, side_px, batch, variant) for variant in variants}
    rounds = [{variant: step() for variant, step in steps.items()} for _ in range(1 + STEPS)][1:]
    for variant in variants:
        seconds = statistics.median(row[variant] for row in rounds)
        ratio = statistics.median(row[variant] / row[REFERENCE] for row in rounds)
        print(f"{architecture:17s} {variant!s:38s} {seconds:6.2f} s  {ratio:5.2f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=128, help="pixels")
    parser.add_argument("--batch", type=int, default=8)
    arguments = parser.parse_args()
    print(f"{torch.backends.cpu.get_cpu_capability()}, BF16 instructions: {this_machine().bf16}")
    for architecture in NETWORKS:
        measure(architecture, arguments.side, arguments.batch, VARIANTS)
