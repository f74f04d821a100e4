"""Losses on logits. Each takes float [N,1,H,W] logits and targets of the same shape in 0..1 and gives a scalar."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.train.recipe import LossName

Loss = Callable[[Tensor, Tensor], Tensor]


def bce_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross entropy, mean over all pixels."""
    return F.binary_cross_entropy_with_logits(logits, target)


def dice_loss(logits: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """1 - soft Dice, per image, then averaged (Milletari et al., 2016, arXiv:1606.04797; p, not p squared)."""
    probability = torch.sigmoid(logits)
    intersection = (probability * target).sum(dim=(1, 2, 3))
    total = probability.sum(dim=(1, 2, 3)) + target.sum(dim=(1, 2, 3))
    return (1 - (2 * intersection + smooth) / (total + smooth)).mean()


def bce_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """The sum of both: cross entropy gives even gradients, Dice answers to the class imbalance."""
    return bce_loss(logits, target) + dice_loss(logits, target)


def structure_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy and 1 - IoU, both with more weight near outlines (Wei et al., 2020, F3Net, arXiv:1911.11445).

    The window in which an outline counts as near is a tenth of the picture: 31 pixels of 352 there.
    """
    window = target.shape[-1] // 11 // 2 * 2 + 1
    local_mean = F.avg_pool2d(target, window, stride=1, padding=window // 2, count_include_pad=False)
    weight = 1 + 5 * (local_mean - target).abs()
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    weighted_entropy = (weight * entropy).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3))
    probability = torch.sigmoid(logits)
    intersection = (probability * target * weight).sum(dim=(1, 2, 3))
    total = ((probability + target) * weight).sum(dim=(1, 2, 3))
    weighted_iou = 1 - (intersection + 1) / (total - intersection + 1)
    return (weighted_entropy + weighted_iou).mean()


LOSSES: dict[LossName, Loss] = {
    "bce": bce_loss,
    "dice": dice_loss,
    "bce+dice": bce_dice_loss,
    "structure": structure_loss,
}
