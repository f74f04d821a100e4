"""Losses on logits, each a scalar.

One class: float [N,1,H,W] logits and targets of the same shape in 0..1, read through a sigmoid. Several classes: float
[N,C,H,W] logits and targets that sum to 1 over C, read through a softmax. Sums run in float32 at least, since those of
a large picture exceed FP16's range.
"""

from __future__ import annotations

import functools
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.train.choices import LossName
from edgeseg.train.recipe import TrainingRecipe

Judged = Tensor | None
"""float [N,1,H,W]: 1 where a pixel counts, 0 where it is ignored; None where all count."""
SMALLEST = 1e-6
"""Below it a power's gradient would be infinite."""


class Loss(Protocol):
    """A loss on logits."""

    def __call__(self, logits: Tensor, target: Tensor, judged: Judged = None) -> Tensor:
        """The mean loss of a batch over the pixels that count."""
        ...


def bce_loss(logits: Tensor, target: Tensor, judged: Judged = None) -> Tensor:
    """Binary cross entropy, mean over all pixels that count; one class.

    With `training.label_smoothing` it is the soft BCE, whose targets are a little away from 0 and 1.
    """
    logits = _precise(logits)
    if judged is None:
        return F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype))
    entropy = F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), reduction="none")
    return (entropy * judged).sum() / judged.sum().clamp(min=1)


def cross_entropy_loss(logits: Tensor, target: Tensor, judged: Judged = None) -> Tensor:
    """Cross entropy of a softmax over several classes, mean over all pixels that count.

    Over a single channel a softmax is 1 whatever the logit is, so there its gradient is zero everywhere.
    """
    logits = _precise(logits)
    entropy = -(target * F.log_softmax(logits, dim=1)).sum(dim=1, keepdim=True)
    return entropy.mean() if judged is None else (entropy * judged).sum() / judged.sum().clamp(min=1)


def dice_loss(logits: Tensor, target: Tensor, judged: Judged = None, smooth: float = 1.0) -> Tensor:
    """1 - soft Dice, per image and class, then averaged (Milletari et al., 2016, arXiv:1606.04797; p, not squared)."""
    return weighted_dice_loss(logits, target, judged, smooth=smooth)


def weighted_dice_loss(
    logits: Tensor,
    target: Tensor,
    judged: Judged = None,
    *,
    false_positive_weight: float = 1.0,
    false_negative_weight: float = 1.0,
    smooth: float = 1.0,
) -> Tensor:
    """1 - soft Dice whose false positives and false negatives have weights; both 1 make it Dice's.

    2TP / (2TP + a FP + b FN) is the Tversky index with alpha = a/2 and beta = b/2 (Salehi et al., 2017,
    arXiv:1706.05721).
    """
    weights = false_positive_weight / 2, false_negative_weight / 2
    return (1 - _tversky_index(_probability(logits), target, judged, *weights, smooth / 2)).mean()


def inverse_dice_loss(logits: Tensor, target: Tensor, judged: Judged = None) -> Tensor:
    """1 - soft Dice of the background; one class."""
    return dice_loss(-logits, 1 - target, judged)


def bce_dice_loss(logits: Tensor, target: Tensor, judged: Judged = None) -> Tensor:
    """The sum of both: cross entropy gives even gradients, Dice answers to the class imbalance; one class."""
    return bce_loss(logits, target, judged) + dice_loss(logits, target, judged)


def inverse_dice_bce_loss(logits: Tensor, target: Tensor, judged: Judged = None) -> Tensor:
    """The sum of cross entropy and the background's Dice; one class."""
    return bce_loss(logits, target, judged) + inverse_dice_loss(logits, target, judged)


def cross_entropy_dice_loss(logits: Tensor, target: Tensor, judged: Judged = None) -> Tensor:
    """The sum of both, for several classes."""
    return cross_entropy_loss(logits, target, judged) + dice_loss(logits, target, judged)


def switching_loss(logits: Tensor, target: Tensor, judged: Judged = None) -> Tensor:
    """The Dice of what the batch shows less of: of the foreground up to half of its pixels, else of the background.

    After Anand et al., Switching loss for generalized nucleus detection in histopathology, 2020, arXiv:2008.03750, who
    shift the emphasis between the two with each batch. One class.
    """
    counted = torch.ones_like(target) if judged is None else judged
    share = (target * counted).sum() / counted.sum().clamp(min=1)
    foreground, background = dice_loss(logits, target, judged), inverse_dice_loss(logits, target, judged)
    return torch.where(share <= 0.5, foreground, background)  # both, so that no step waits for the device


def focal_tversky_loss(logits: Tensor, target: Tensor, judged: Judged = None) -> Tensor:
    """(1 - Tversky index)**(3/4), per image and class, then averaged; misses weigh .7, false alarms .3.

    Abraham and Khan, 2019, arXiv:1810.07842: gamma = 4/3 as 1/gamma in the exponent.
    """
    error = 1 - _tversky_index(_probability(logits), target, judged, 0.3, 0.7, 1.0)
    return error.clamp(min=SMALLEST).pow(0.75).mean()


def structure_loss(logits: Tensor, target: Tensor, judged: Judged = None) -> Tensor:
    """Cross entropy and 1 - IoU, both with more weight near outlines (Wei et al., 2020, F3Net, arXiv:1911.11445).

    The window in which an outline counts as near is a tenth of the picture: 31 pixels of 352 there. One class.
    """
    logits = _precise(logits)
    target = target.to(logits.dtype)
    window = target.shape[-1] // 11 // 2 * 2 + 1
    local_mean = _local_mean(target, window)
    if judged is not None:
        local_mean = _local_mean(target * judged, window) / _local_mean(judged, window).clamp(min=SMALLEST)
    weight = 1 + 5 * (local_mean - target).abs()
    if judged is not None:
        weight = weight * judged
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    weighted_entropy = (weight * entropy).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3)).clamp(min=SMALLEST)
    probability = torch.sigmoid(logits)
    intersection = (probability * target * weight).sum(dim=(1, 2, 3))
    total = ((probability + target) * weight).sum(dim=(1, 2, 3))
    weighted_iou = 1 - (intersection + 1) / (total - intersection + 1)
    return (weighted_entropy + weighted_iou).mean()


LOSSES: dict[LossName, Loss] = {
    "bce": bce_loss,
    "cross-entropy": cross_entropy_loss,
    "dice": dice_loss,
    "weighted-dice": weighted_dice_loss,
    "bce+dice": bce_dice_loss,
    "inverse-dice+bce": inverse_dice_bce_loss,
    "cross-entropy+dice": cross_entropy_dice_loss,
    "switching": switching_loss,
    "focal-tversky": focal_tversky_loss,
    "structure": structure_loss,
}


def loss_from_recipe(training: TrainingRecipe) -> Loss:
    """The loss that a recipe names, with the recipe's weights where it has any."""
    if training.loss != "weighted-dice":
        return LOSSES[training.loss]
    return functools.partial(
        weighted_dice_loss,
        false_positive_weight=training.false_positive_weight,
        false_negative_weight=training.false_negative_weight,
    )


def _precise(logits: Tensor) -> Tensor:
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def _probability(logits: Tensor) -> Tensor:
    logits = _precise(logits)
    return torch.sigmoid(logits) if logits.shape[1] == 1 else torch.softmax(logits, dim=1)


def _tversky_index(
    probability: Tensor, target: Tensor, judged: Judged, false_positives: float, false_negatives: float, smooth: float
) -> Tensor:
    """The Tversky index of each image and class, [N,C]."""
    target = target.to(probability.dtype)
    if judged is not None:
        probability, target = probability * judged, target * judged
    both = (probability * target).sum(dim=(2, 3))
    wrong = false_positives * (probability.sum(dim=(2, 3)) - both) + false_negatives * (target.sum(dim=(2, 3)) - both)
    return (both + smooth) / (both + wrong + smooth)


def _local_mean(values: Tensor, window: int) -> Tensor:
    """The mean over a square window around each pixel, as far as it lies inside; by rows, then by columns."""
    reach = window // 2
    rows = F.avg_pool2d(values, (1, window), stride=1, padding=(0, reach), count_include_pad=False)
    return F.avg_pool2d(rows, (window, 1), stride=1, padding=(reach, 0), count_include_pad=False)
