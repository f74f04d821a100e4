"""Losses on logits. Each takes float [N,1,H,W] logits and targets of the same shape in 0..1 and gives a scalar."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.train.recipe import LossName

Judged = Tensor | None
"""float [N,1,H,W]: 1 where a pixel counts, 0 where it is ignored; None where all count."""


class Loss(Protocol):
    """A loss on logits."""

    def __call__(self, logits: Tensor, target: Tensor, judged: Judged = None) -> Tensor:
        """The mean loss of a batch over the pixels that count."""
        ...


def bce_loss(logits: Tensor, target: Tensor, judged: Judged = None) -> Tensor:
    """Binary cross entropy, mean over all pixels that count."""
    if judged is None:
        return F.binary_cross_entropy_with_logits(logits, target)
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (entropy * judged).sum() / judged.sum().clamp(min=1)


def dice_loss(logits: Tensor, target: Tensor, judged: Judged = None, smooth: float = 1.0) -> Tensor:
    """1 - soft Dice, per image, then averaged (Milletari et al., 2016, arXiv:1606.04797; p, not p squared)."""
    probability = torch.sigmoid(logits)
    if judged is not None:
        probability, target = probability * judged, target * judged
    intersection = (probability * target).sum(dim=(1, 2, 3))
    total = probability.sum(dim=(1, 2, 3)) + target.sum(dim=(1, 2, 3))
    return (1 - (2 * intersection + smooth) / (total + smooth)).mean()


def bce_dice_loss(logits: Tensor, target: Tensor, judged: Judged = None) -> Tensor:
    """The sum of both: cross entropy gives even gradients, Dice answers to the class imbalance."""
    return bce_loss(logits, target, judged) + dice_loss(logits, target, judged)


def structure_loss(logits: Tensor, target: Tensor, judged: Judged = None) -> Tensor:
    """Cross entropy and 1 - IoU, both with more weight near outlines (Wei et al., 2020, F3Net, arXiv:1911.11445).

    The window in which an outline counts as near is a tenth of the picture: 31 pixels of 352 there.
    """
    window = target.shape[-1] // 11 // 2 * 2 + 1
    local_mean = _local_mean(target, window)
    if judged is not None:
        local_mean = _local_mean(target * judged, window) / _local_mean(judged, window).clamp(min=1e-6)
    weight = 1 + 5 * (local_mean - target).abs()
    if judged is not None:
        weight = weight * judged
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    weighted_entropy = (weight * entropy).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3)).clamp(min=1e-6)
    probability = torch.sigmoid(logits)
    intersection = (probability * target * weight).sum(dim=(1, 2, 3))
    total = ((probability + target) * weight).sum(dim=(1, 2, 3))
    weighted_iou = 1 - (intersection + 1) / (total - intersection + 1)
    return (weighted_entropy + weighted_iou).mean()


def _local_mean(values: Tensor, window: int) -> Tensor:
    return F.avg_pool2d(values, window, stride=1, padding=window // 2, count_include_pad=False)


LOSSES: dict[LossName, Loss] = {
    "bce": bce_loss,
    "dice": dice_loss,
    "bce+dice": bce_dice_loss,
    "structure": structure_loss,
}
