"""MixStyle: pictures of a batch mix the statistics of their first feature maps (Zhou et al., 2021, arXiv:2104.02008).

Mean and deviation of each channel of shallow features carry a scope's look. Only training sees this: a forward hook,
no layer, so that neither the kept weights nor the exported graph know of it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

MIXED_STAGES = 2
"""Stages of the encoder after which statistics are mixed, from the first on: strides 2 and 4."""
CONCENTRATION = 0.1
"""Both parameters of the Beta distribution of the share; the paper's: mostly near 0 and 1."""


def mix_styles(network: nn.Module, probability: float) -> None:
    """Let a network mix feature statistics in training mode, each batch with `probability` after each of the stages.

    Args:
        network: Has an attribute `encoder` whose `stages` are modules with one map [N,C,H,W] as output.
        probability: A probability in 0..1; 0 changes nothing.
    """
    if probability == 0:
        return

    def hook(stage: nn.Module, arguments: tuple[Tensor, ...], features: Tensor) -> Tensor:
        if not stage.training or float(torch.rand(())) >= probability:
            return features
        return mixed(features)

    for stage in network.encoder.stages[:MIXED_STAGES]:  # type: ignore[union-attr, index]
        stage.register_forward_hook(hook)


def mixed(features: Tensor) -> Tensor:
    """Features whose channels have a mean and deviation between their own and those of another picture of the batch.

    Randomness comes from torch's global generator.

    Args:
        features: float [N,C,H,W].

    Returns:
        The same shape and dtype; no gradient flows through the statistics.
    """
    count = len(features)
    values = features.float()
    mean = values.mean(dim=(2, 3), keepdim=True).detach()
    deviation = (values.var(dim=(2, 3), keepdim=True, correction=0) + 1e-6).sqrt().detach()
    share = torch.distributions.Beta(CONCENTRATION, CONCENTRATION).sample((count, 1, 1, 1)).to(features.device)
    others = torch.randperm(count)
    wanted_mean = mean[others].lerp(mean, share)
    wanted_deviation = deviation[others].lerp(deviation, share)
    return ((values - mean) / deviation * wanted_deviation + wanted_mean).to(features.dtype)
