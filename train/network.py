"""The network with its normalisation: frames in 0..1 go in, so that training and the exported graph agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.specs import Fraction, PreprocessSpec
from edgeseg.train.network_outputs import logits_of


class NormalisedNetwork(nn.Module):
    """A network behind `(x - mean) / std`.

    Args:
        network: Takes normalised float [N,3,H,W], gives logits [N,C,H,W], or auxiliary ones besides
            (`edgeseg.train.network_outputs`).
        preprocess: Mean and std of RGB in 0..1.
        mirroring: In evaluation the answer is the mean of the picture's logits and of its mirror image's.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, preprocess: PreprocessSpec, mirroring: bool = False) -> None:
        super().__init__()
        self.network = network
        self.mirroring = mirroring
        self.register_buffer("mean", _per_channel(preprocess.mean), persistent=False)
        self.register_buffer("std", _per_channel(preprocess.std), persistent=False)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Run the network: float [N,3,H,W] in 0..1 -> logits [N,C,H,W], in training with the auxiliary ones after them.

        One tensor in evaluation; in training, too, where the network gives one alone.
        """
        if self.training or not self.mirroring:
            return self.answer(images)
        direct, mirrored = (self.answer(shown) for shown in (images, images.flip(-1)))
        assert isinstance(direct, Tensor) and isinstance(mirrored, Tensor)
        return (direct + mirrored.flip(-1)) / 2

    def answer(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The network's answer to the pictures as they are; see `forward`."""
        logits = logits_of(self.network((images - self.mean) / self.std))
        return logits if self.training and len(logits) > 1 else logits[0]

    def beside_weights(self) -> dict[str, Any]:
        """The entries that a checkpoint keeps besides the weights of `network`: none here."""
        return {}

    def take_beside_weights(self, content: Mapping[str, Any]) -> None:
        """Take up what `beside_weights` gave, out of a checkpoint."""


def _per_channel(values: Fraction) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1)
