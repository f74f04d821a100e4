"""One training step: memory format and precision, alternated in one run; `python benchmarks/training_step.py`.

Processor time, all threads together, as other programs of a shared machine disturb it less; OMP_NUM_THREADS=1 leaves
out the waiting of threads for each other. Beside it the ratio to channels-last float32, which is what training does.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import nn

from edgeseg.train.architectures.registry import network_from_recipe
from edgeseg.train.arithmetic import this_machine
from edgeseg.train.recipe import read_recipe

STEPS = 5
NETWORKS = ("lite0-unet", "ultra-lite0-unet")
Variant = tuple[bool, bool]
"""(is channels last, is bf16)."""
REFERENCE: Variant = (True, False)


def step_of(architecture: str, side_px: int, batch: int, variant: Variant) -> Callable[[], float]:
    """A function that trains one step and gives its processor time in seconds."""
    channels_last, bf16 = variant
    layout = torch.channels_last if channels_last else torch.contiguous_format
    sizes = [f"model.height={side_px}", f"model.width={side_px}", "model.pretrained=false"]
    recipe = read_recipe(None, [f"model.architecture={architecture}", *sizes])
    network: nn.Module = network_from_recipe(recipe.model).train().to(memory_format=layout)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), 1e-4, fused=True)
    images = torch.rand(batch, 3, side_px, side_px).contiguous(memory_format=layout)

    def step() -> float:
        started = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
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
        name = f"{'channels-last' if variant[0] else 'contiguous':13s} {'bf16' if variant[1] else 'float32':7s}"
        print(f"{architecture:17s} {name} {seconds:6.2f} s  {ratio:5.2f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=128, help="pixels")
    parser.add_argument("--batch", type=int, default=8)
    arguments = parser.parse_args()
    print(f"{torch.backends.cpu.get_cpu_capability()}, BF16 instructions: {this_machine().bf16}")
    for architecture in NETWORKS:
        measure(
            architecture,
            arguments.side,
            arguments.batch,
            [(layout, bf16) for bf16 in (False, True) for layout in (True, False)],
        )
