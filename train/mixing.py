"""Four small pictures in one, as in mosaic augmentation (Bochkovskiy et al., 2020, arXiv:2004.10934).

Training sets show polyps large and in the middle; a mosaic shows them small, anywhere, and beside normal tissue.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

TILES = 4


def mosaic(images: Tensor, masks: Tensor, probability: float) -> tuple[Tensor, Tensor]:
    """Replace pictures of a batch, each with `probability`, by four halved ones of the same batch in a square.

    Randomness comes from torch's global generator.

    Args:
        images: float [N,3,H,W], H and W even.
        masks: float [N,1,H,W] of 0 and 1.
        probability: A probability in 0..1.

    Returns:
        Both, mixed; masks stay 0 and 1.
    """
    count = len(images)
    chosen = (torch.rand(count) < probability).nonzero().flatten()
    if probability == 0 or not len(chosen):
        return images, masks
    tiles = torch.randint(count, (len(chosen), TILES))
    small_images, small_masks = F.avg_pool2d(images, 2), F.max_pool2d(masks, 2)
    images, masks = images.clone(), masks.clone()
    images[chosen] = _square(small_images[tiles])
    masks[chosen] = _square(small_masks[tiles])
    return images, masks


def _square(tiles: Tensor) -> Tensor:
    """[N,4,C,h,w] -> [N,C,2h,2w]."""
    upper = torch.cat([tiles[:, 0], tiles[:, 1]], dim=-1)
    lower = torch.cat([tiles[:, 2], tiles[:, 3]], dim=-1)
    return torch.cat([upper, lower], dim=-2)
