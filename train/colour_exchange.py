"""Colours of another scope: pictures of a batch exchange the mean and spread of their colours.

Reinhard et al., 2001, "Color Transfer between Images" (IEEE Computer Graphics and Applications 21(5)), in CIELAB. What
distinguishes one endoscope's pictures from another's is to a large part this: white balance, exposure, contrast.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgeseg.optional import require

DARK = (0.03, 0.09)
"""Pixels with a mean of RGB below the first are border or lumen and take no part, those above the second take all."""


def exchange_colours(images: Tensor, probability: float) -> Tensor:
    """Give pictures of a batch, each with `probability`, colour statistics on the way to those of another picture.

    How far they go is drawn for each, from not at all to all the way. Randomness comes from torch's global generator.

    Args:
        images: float32 [N,3,H,W] RGB in 0..1.
        probability: A probability in 0..1.

    Returns:
        Images of the same shape in 0..1.
    """
    if probability == 0 or len(images) < 2:
        return images
    chosen = (torch.rand(len(images)) < probability).nonzero().flatten()
    if not len(chosen):
        return images
    others = (chosen + torch.randint(1, len(images), chosen.shape)) % len(images)
    reach = torch.rand(len(chosen), 1, 1, 1).to(images.device)
    colour = require("kornia.color")
    lab, lit = colour.rgb_to_lab(images), _lit(images)
    mean, deviation = _statistics(lab, lit)
    wanted_mean = mean[chosen].lerp(mean[others], reach)
    wanted_deviation = deviation[chosen].lerp(deviation[others], reach)
    moved = (lab[chosen] - mean[chosen]) * (wanted_deviation / deviation[chosen]) + wanted_mean
    recoloured = colour.lab_to_rgb(moved).clamp_(0.0, 1.0)
    images = images.clone()
    images[chosen] = images[chosen].lerp(recoloured, lit[chosen])
    return images


def _lit(images: Tensor) -> Tensor:
    """How far each pixel takes part: [N,1,H,W] in 0..1."""
    dark, light = DARK
    return ((images.mean(dim=1, keepdim=True) - dark) / (light - dark)).clamp(0.0, 1.0)


def _statistics(lab: Tensor, lit: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel over what is lit: [N,3,1,1] each, the latter at least 1."""
    count = lit.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    mean = (lab * lit).sum(dim=(2, 3), keepdim=True) / count
    variance = ((lab - mean).square() * lit).sum(dim=(2, 3), keepdim=True) / count
    return mean, variance.sqrt().clamp(min=1.0)
