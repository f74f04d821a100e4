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


LOSSES: dict[LossName, Loss] = {"bce": bce_loss, "dice": dice_loss, "bce+dice": bce_dice_loss}
