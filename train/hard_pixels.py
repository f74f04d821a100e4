"""A loss that also looks at the hardest pixels of each picture alone.

Bootstrapped cross entropy (Wu et al., 2016, arXiv:1605.06885) as a second term. On a picture without a polyp a mean
over all pixels forgives a small false mark, and overlap terms saturate under a large one; the hardest pixels are that
mark.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from edgeseg.train.losses import Judged, Loss


def with_hard_pixels(loss: Loss, share: float) -> Loss:
    """Add to a loss the mean cross entropy of the hardest pixels.

    Args:
        loss: What it is added to.
        share: Share of each picture's pixels that count as its hardest, one at least; 0 gives the loss as it is.
    """
    if share == 0:
        return loss

    def total(logits: Tensor, target: Tensor, judged: Judged = None) -> Tensor:
        return loss(logits, target, judged) + hard_pixel_loss(logits, target, share, judged)

    return total


def hard_pixel_loss(logits: Tensor, target: Tensor, share: float, judged: Judged = None) -> Tensor:
    """Mean cross entropy of the pixels that have the most of it, picture by picture.

    Args:
        logits: float [N,1,H,W].
        target: The same shape, in 0..1.
        share: Share of each picture's pixels, one at least.
        judged: 1 where a pixel counts; ignored ones have no cross entropy.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    if judged is not None:
        entropy = entropy * judged
    pixels = entropy.flatten(1)
    return pixels.topk(max(round(share * pixels.shape[1]), 1), dim=1, sorted=False).values.mean()
