"""Training samples, decoded once and kept in memory at the network's size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.dataset import Pair
from edgeseg.frames import resize_mask_to_network, resize_to_network
from edgeseg.images import read_rgb
from edgeseg.progress import Track, silent
from edgeseg.train.recipe import Recipe
from edgeseg.train.sample_memory import Allocate, in_memory

IGNORED = 255
"""The value of masks, from here to the loss, where nobody may judge; pooling keeps the larger value."""


@dataclass(frozen=True)
class Samples:
    """A split in memory."""

    images: Tensor
    """uint8 [N,3,H,W] RGB."""
    masks: Tensor
    """uint8 [N,1,H,W] of class indices (0 and 1 for one class) and `IGNORED`."""
    has_ignored: bool = False
    """True if some pixels are kept out of the loss."""

    def __len__(self) -> int:
        return len(self.images)


def load_samples(
    pairs: Sequence[Pair],
    height: int,
    width: int,
    track: Track = silent,
    allocate: Allocate = in_memory,
    classes: int = 1,
) -> Samples:
    """Decode and resize pairs by the one resize; 4 bytes a pixel are kept, where `allocate` says.

    Args:
        pairs: Images and masks.
        height: The network's.
        width: Likewise.
        track: Shows progress.
        allocate: Gives the arrays.
        classes: Number of classes with the background, or 1.

    Raises:
        BadInputError: A pair cannot be read, or its sizes differ.
    """
    images = allocate((len(pairs), height, width, 3))
    masks = allocate((len(pairs), height, width))
    has_ignored = False
    for index, pair in enumerate(track(pairs, "reading images")):
        labelled = pair.read_labelled(classes)
        images[index] = resize_to_network(labelled.frame, height, width)
        mask = resize_mask_to_network(labelled.mask, height, width)
        masks[index] = mask > 0 if classes == 1 else mask
        if labelled.ignored is not None:
            ignored = resize_mask_to_network(labelled.ignored.astype(np.uint8), height, width) > 0
            masks[index][ignored] = IGNORED
            has_ignored = True
    return Samples(torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(masks).unsqueeze(1), has_ignored)


def load_negatives(
    images: Sequence[Path], height: int, width: int, track: Track = silent, allocate: Allocate = in_memory
) -> Samples:
    """Decode and resize pictures that show nothing to find; their masks are empty.

    Raises:
        BadInputError: A picture cannot be read.
    """
    frames = allocate((len(images), height, width, 3))
    for index, path in enumerate(track(images, "reading negatives")):
        frames[index] = resize_to_network(read_rgb(path), height, width)
    empty = torch.zeros((1, 1, 1, 1), dtype=torch.uint8).expand(len(images), 1, height, width)
    return Samples(torch.from_numpy(frames).permute(0, 3, 1, 2), empty)


@dataclass(frozen=True)
class BatchPlan:
    """How an epoch is cut into batches."""

    positives: int
    """How many samples of each batch come from the training split."""
    negatives: int
    """How many samples of each batch come from the negatives."""
    count: int
    """Batches of one epoch: each training image comes once, but for a smaller last batch."""


def plan_batches(samples: Samples, negatives: Samples | None, batch_size: int, negative_share: float) -> BatchPlan:
    """Cut an epoch into batches."""
    drawn = 0 if negatives is None else min(round(batch_size * negative_share), batch_size - 1, len(negatives))
    positives = batch_size - drawn
    return BatchPlan(positives, drawn, max(len(samples) // positives, 1))


def batches(samples: Samples, negatives: Samples | None, plan: BatchPlan, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch in a random order that depends only on `seed`.

    Yields:
        Images float32 [B,3,H,W] in 0..1, and masks float32 [B,1,H,W] of class indices and, where there are such,
        `IGNORED`.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(samples), generator=generator)
    for index in range(plan.count):
        chunk = order[index * plan.positives : (index + 1) * plan.positives]
        images, masks = samples.images[chunk], samples.masks[chunk]
        if negatives is not None and plan.negatives:
            drawn = torch.randperm(len(negatives), generator=generator)[: plan.negatives]
            images = torch.cat([images, negatives.images[drawn]])
            masks = torch.cat([masks, negatives.masks[drawn]])
        yield images.float().div_(255.0), masks.float()


def sizes_px(recipe: Recipe, seed: int) -> Iterator[tuple[int, int]]:
    """Heights and widths of an epoch's batches, without end: the network's, or drawn from the recipe's sizes.

    They depend only on `seed`, so that all processes of a training work at the same size.
    """
    model, heights = recipe.model, recipe.training.sizes or (recipe.model.height,)
    generator = torch.Generator().manual_seed(seed)
    while True:
        height = heights[int(torch.randint(len(heights), (), generator=generator))]
        yield height, height * model.width // model.height


def resized(images: Tensor, masks: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """A batch at another size, as training at several sizes takes it: pictures antialiased, masks 0 and 1.

    Args:
        images: float32 [N,3,H,W].
        masks: float32 [N,1,H,W] of 0 and 1.
        height: Wanted.
        width: Wanted.
    """
    if images.shape[-2:] == (height, width):
        return images, masks
    return (
        F.interpolate(images, (height, width), mode="bilinear", antialias=True).clamp_(0.0, 1.0),
        F.interpolate(masks, (height, width), mode="nearest-exact"),
    )
