"""Masks of class indices to the targets that a loss takes, softened by teachers and label smoothing where wanted."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from edgeseg.train.distillation import Teacher


def targets_of(
    images: Tensor, masks: Tensor, classes: int, teacher: Teacher | None = None, smoothing: float = 0.0
) -> Tensor:
    """Targets of the logits.

    Args:
        images: float [N,3,H,W] in 0..1, which a teacher looks at.
        masks: float [N,1,H,W] of class indices from 0; ignored pixels hold any index.
        classes: Number of classes with the background, or 1.
        teacher: Softens the targets; None leaves them.
        smoothing: How far targets are from 0 and 1; several classes share it evenly.

    Returns:
        float [N,1,H,W] in 0..1 for one class, else [N,C,H,W] that sum to 1 over C.
    """
    targets = masks if classes == 1 else one_hot(masks, classes)
    if teacher is not None:
        targets = teacher.targets(images, targets)
    if not smoothing:
        return targets
    return targets * (1 - 2 * smoothing) + smoothing * (1 if classes == 1 else 2 / classes)


def one_hot(masks: Tensor, classes: int) -> Tensor:
    """Class indices, float [N,1,H,W], to float [N,C,H,W] of 0 and 1."""
    return F.one_hot(masks[:, 0].long(), classes).permute(0, 3, 1, 2).to(masks.dtype)
