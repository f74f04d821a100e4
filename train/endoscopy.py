"""Degrades a batch of pictures as an endoscope does: interlace combing, highlights, glare, a dark border.

Pure functions. Geometry stays, so masks stay. Randomness comes from torch's global generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Degradation = Callable[[Tensor], Tensor]
"""images float32 [N,3,H,W] -> the same, all of them changed."""


def sometimes(images: Tensor, probability: float, degradation: Degradation) -> Tensor:
    """Apply a degradation to pictures of a batch, each chosen with `probability`."""
    chosen = (torch.rand(len(images)) < probability).nonzero().flatten()
    if not len(chosen):
        return images
    images = images.clone()
    with images.device:  # what a degradation draws is drawn where the pictures are
        images[chosen] = degradation(images[chosen])
    return images


def combing(images: Tensor) -> Tensor:
    """Interlaced video of a moving scope: odd rows come from a moment later, so they are shifted sideways."""
    images = images.clone()
    largest = max(images.shape[-1] // 50, 2)
    shifts = torch.randint(1, largest + 1, (len(images),)) * (torch.randint(0, 2, (len(images),)) * 2 - 1)
    for image, shift in zip(images, shifts.tolist(), strict=True):
        image[:, 1::2] = torch.roll(image[:, 1::2], shift, dims=-1)
    return images


def highlights(images: Tensor) -> Tensor:
    """Specular reflections: small bright spots on what is lit, more in one region than in another."""
    count, _, height, width = images.shape
    spots = F.interpolate(torch.rand(count, 1, height // 8, width // 8), (height, width), mode="bicubic")
    region = F.interpolate(torch.rand(count, 1, 4, 4), (height, width), mode="bilinear")
    level = torch.empty(count, 1, 1, 1).uniform_(0.75, 0.95)
    lit = (images.mean(dim=1, keepdim=True) * 4).clamp_(0.0, 1.0)
    strength = ((spots * region - level * 0.75) * 12).clamp_(0.0, 1.0) * lit
    return images + strength * (1 - images)


def glare(images: Tensor) -> Tensor:
    """Tissue too near to the light: a part of the picture, or all of it, washes out to a warm white."""
    count, _, height, width = images.shape
    angle = torch.rand(count, 1, 1) * (2 * math.pi)
    rows = torch.linspace(-1, 1, height).view(1, height, 1)
    columns = torch.linspace(-1, 1, width).view(1, 1, width)
    along = rows * torch.sin(angle) + columns * torch.cos(angle)
    start = torch.empty(count, 1, 1).uniform_(-0.3, 1.2)
    slope = torch.empty(count, 1, 1).uniform_(0.7, 6.0)
    strength = (torch.sigmoid((along - start) * slope) * torch.empty(count, 1, 1).uniform_(0.4, 1.0)).unsqueeze(1)
    warm = torch.tensor([1.0, 0.9, 0.7]).view(1, 3, 1, 1) + torch.rand(count, 3, 1, 1) * 0.2 - 0.1
    return images + strength * (warm.clamp(0.0, 1.0) - images)


def dark_border(images: Tensor) -> Tensor:
    """The mask that a video processor lays over the picture: an octagon, or a circle, on black."""
    count, _, height, width = images.shape
    rows = torch.linspace(-1, 1, height).view(1, height, 1)
    columns = torch.linspace(-1, 1, width).view(1, 1, width)
    reach = torch.empty(count, 1, 1).uniform_(0.88, 1.0)
    corner = torch.empty(count, 1, 1).uniform_(1.25, 1.7)
    octagon = (rows.abs() < reach) & (columns.abs() < reach) & (rows.abs() + columns.abs() < corner)
    circle = rows**2 + columns**2 < torch.empty(count, 1, 1).uniform_(0.95, 1.4)
    round_one = torch.rand(count, 1, 1) < 0.4
    inside = torch.where(round_one, circle, octagon).unsqueeze(1)
    return images * inside


def grain(images: Tensor) -> Tensor:
    """Sensor noise, by another amount in each picture."""
    return images + torch.randn_like(images) * torch.empty(len(images), 1, 1, 1).uniform_(0.005, 0.04)


def motion_blur(images: Tensor) -> Tensor:
    """A moving scope: the mean of the picture along a line; all of the batch along the same one."""
    length = int(torch.randint(3, 10, ()))
    horizontal = bool(torch.rand(()) < 0.5)
    size = (1, length) if horizontal else (length, 1)
    padding = (length // 2, (length - 1) // 2, 0, 0) if horizontal else (0, 0, length // 2, (length - 1) // 2)
    return F.avg_pool2d(F.pad(images, padding, mode="replicate"), size, stride=1)


DEGRADATIONS: tuple[Degradation, ...] = (highlights, glare, combing, motion_blur, grain, dark_border)
"""The degradations in the order in which light, scope, sensor and video processor act."""
