"""One training step of the Lite0 U-Net: memory format and precision; `python benchmarks/training_step.py`."""

from __future__ import annotations

import statistics
import time

import torch

from edgeseg.train.architectures.lite0_unet import Lite0UNet

BATCH, SIDE, STEPS = 12, 224, 5


def step_seconds(channels_last: bool, bf16: bool) -> float:
    """Median seconds of a step."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = Lite0UNet().to(memory_format=layout)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), 1e-4)
    images = torch.rand(BATCH, 3, SIDE, SIDE).to(memory_format=layout)
    seconds = []
    for _ in range(STEPS + 1):
        started = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = network(images).float().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


if __name__ == "__main__":
    for layout in (False, True):
        for precision in (False, True):
            name = f"{'channels-last' if layout else 'contiguous':13s} {'bf16' if precision else 'float32':7s}"
            print(f"{name} {step_seconds(layout, precision):.2f} s")
