"""Training samples, decoded once and kept in memory at the network's size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgeseg.dataset import Pair
from edgeseg.frames import resize_mask_to_network, resize_to_network
from edgeseg.progress import Track, silent


@dataclass(frozen=True)
class Samples:
    """A split in memory."""

    images: Tensor
    """uint8 [N,3,H,W] RGB."""
    masks: Tensor
    """uint8 [N,1,H,W] of 0 and 1."""

    def __len__(self) -> int:
        return len(self.images)


def load_samples(pairs: Sequence[Pair], height: int, width: int, track: Track = silent) -> Samples:
    """Decode and resize pairs by the one resize; 4 bytes a pixel are kept.

    Raises:
        BadInputError: A pair cannot be read, or its sizes differ.
    """
    images = np.empty((len(pairs), height, width, 3), np.uint8)
    masks = np.empty((len(pairs), height, width), np.uint8)
    for index, pair in enumerate(track(pairs, "reading images")):
        frame, mask = pair.read()
        images[index] = resize_to_network(frame, height, width)
        masks[index] = resize_mask_to_network(mask, height, width) > 0
    return Samples(torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(masks).unsqueeze(1))


def batches(samples: Samples, batch_size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch in a random order that depends on `seed` alone; a smaller last batch is left out if others exist.

    Yields:
        Images float32 [B,3,H,W] in 0..1 and masks float32 [B,1,H,W] of 0 and 1.
    """
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed))
    for index in range(batch_count(len(samples), batch_size)):
        chunk = order[index * batch_size : (index + 1) * batch_size]
        yield samples.images[chunk].float().div_(255.0), samples.masks[chunk].float()


def batch_count(sample_count: int, batch_size: int) -> int:
    """Batches of one epoch."""
    return max(sample_count // batch_size, 1)
