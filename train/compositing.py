"""Polyps on other backgrounds and backgrounds without their polyp, from the pictures of one batch.

`paste_polyps` shows small polyps on mucosa that never had one; `cover_polyps` shows the mucosa around a polyp without
it. Together they tell a network that neither a scope's look nor a seam in the picture makes a polyp.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.train.samples import IGNORED

POLYP_SIDES = (0.06, 0.35)
"""Shares of the picture's shorter side between which the longer side of a pasted polyp is drawn."""
LARGEST_COVERED = 0.35
"""Polyps that take more of their picture than this are not covered: little of the picture would be left."""
_MARGIN = 0.25
"""Share of a polyp's size that is cut out around it, for its colours and its soft edge."""
_LIT = 0.12
_TRIES = 8


def paste_polyps(images: Tensor, masks: Tensor, probability: float) -> tuple[Tensor, Tensor]:
    """Put a shrunk polyp of the batch onto pictures without one, each with `probability`, with soft edges.

    As in Spatially Exclusive Pasting (arXiv:2211.08284), but onto other pictures' mucosa, whose diversity is what
    generalisation asks for (arXiv:2405.12784, which paints polyps into them by diffusion). The polyp takes over most of
    the difference in colour between its surroundings and the place. Randomness comes from torch's global generator.

    Args:
        images: float32 [N,3,H,W] in 0..1.
        masks: float32 [N,1,H,W] of class indices and, where nobody may judge, `IGNORED`.
        probability: A probability in 0..1.

    Returns:
        Both, changed.
    """
    empty, donors = _empty_and_donors(masks)
    chosen = _chosen(empty, probability)
    if not chosen or not len(donors):
        return images, masks
    images, masks = images.clone(), masks.clone()
    for index in chosen:
        donor = int(donors[int(torch.randint(len(donors), ()))])
        _paste(images[index], masks[index], *_shrunk(*_cut_out(images[donor], masks[donor])))
    return images, masks


def cover_polyps(images: Tensor, masks: Tensor, probability: float) -> tuple[Tensor, Tensor]:
    """Replace pictures without a polyp, each with `probability`, by one of the batch whose polyp is covered.

    The cover is the replaced picture's own mucosa, in the colours around the polyp, with soft edges. As the picture
    with the polyp stays in the batch, the loss sees the pair. Randomness comes from torch's global generator.

    Args:
        images: float32 [N,3,H,W] in 0..1.
        masks: float32 [N,1,H,W] of class indices and, where nobody may judge, `IGNORED`.
        probability: A probability in 0..1.

    Returns:
        Both; the masks are unchanged, as nothing is added to them.
    """
    empty, donors = _empty_and_donors(masks)
    donors = donors[(masks[donors] > 0).float().mean(dim=(1, 2, 3)) < LARGEST_COVERED]
    chosen = _chosen(empty, probability)
    if not chosen or not len(donors):
        return images, masks
    images = images.clone()
    for index in chosen:
        donor = int(donors[int(torch.randint(len(donors), ()))])
        hidden = (masks[donor] > 0).float()
        width = max(hidden.shape[-1] // 28, 1)
        grown, ring = _grown(hidden, width), _grown(hidden, 3 * width) - hidden
        cover = images[index] + _mean(images[donor], ring) - _mean(images[index], grown)
        images[index] = images[donor].lerp(cover.clamp(0.0, 1.0), _softened(grown, width))
    return images, masks


def _empty_and_donors(masks: Tensor) -> tuple[Tensor, Tensor]:
    """The rows whose mask is empty, and those that show a polyp."""
    empty = ~masks.flatten(1).any(dim=1)
    shown = ((masks > 0) & (masks < IGNORED)).flatten(1).any(dim=1)
    return empty.nonzero().flatten(), shown.nonzero().flatten()


def _chosen(rows: Tensor, probability: float) -> list[int]:
    """Some of the rows, each with `probability`; nothing is drawn where that is 0."""
    return [int(row) for row in rows if torch.rand(()) < probability] if probability else []


def _cut_out(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, int]:
    """The part of a picture around its polyp, [3,h,w], the mask there, [1,h,w], and the picture's shorter side."""
    marked = mask[0] > 0
    rows, columns = marked.any(dim=1).nonzero().flatten(), marked.any(dim=0).nonzero().flatten()
    margin = max(int(_MARGIN * max(int(rows[-1] - rows[0]), int(columns[-1] - columns[0]))), 3)
    top, left = max(int(rows[0]) - margin, 0), max(int(columns[0]) - margin, 0)
    window = (slice(None), slice(top, int(rows[-1]) + margin + 1), slice(left, int(columns[-1]) + margin + 1))
    return image[window], mask[window], min(image.shape[-2:])


def _shrunk(patch: Tensor, mask: Tensor, picture_px: int) -> tuple[Tensor, Tensor]:
    """Shrink a patch so that its polyp has a drawn size; never enlarge it."""
    smallest, largest = POLYP_SIDES
    wanted_px = picture_px * (smallest + (largest - smallest) * float(torch.rand(())))
    factor = min(wanted_px * (1 + 2 * _MARGIN) / max(patch.shape[-2:]), 1.0, picture_px / max(patch.shape[-2:]))
    size = [max(round(side * factor), 4) for side in patch.shape[-2:]]
    small = F.interpolate(patch[None], size, mode="bilinear", antialias=True)[0].clamp(0.0, 1.0)
    return small, F.interpolate(mask[None], size, mode="nearest-exact")[0]


def _paste(image: Tensor, mask: Tensor, patch: Tensor, patch_mask: Tensor) -> None:
    """Blend a polyp into a picture and its mask, in place, where it is lit; not at all where no such place is found."""
    height, width = patch.shape[-2:]
    for _ in range(_TRIES):
        top = int(torch.randint(image.shape[-2] - height + 1, ()))
        left = int(torch.randint(image.shape[-1] - width + 1, ()))
        place = (slice(None), slice(top, top + height), slice(left, left + width))
        if float(image[place].mean()) > _LIT:
            break
    else:
        return
    shape, edge = (patch_mask > 0).float(), max(min(height, width) // 12, 1)
    shift = _mean(image[place], torch.ones_like(shape)) - _mean(patch, 1 - shape)
    fitted = (patch + shift * (0.5 + 0.5 * float(torch.rand(())))).clamp(0.0, 1.0)
    image[place] = image[place].lerp(fitted, _softened(_grown(shape, edge), edge))
    mask[place] = patch_mask


def _grown(shape: Tensor, by_px: int) -> Tensor:
    """Grow a shape [1,h,w] by so many pixels to every side; rows and columns in turn, which gives the same sooner."""
    side = 2 * by_px + 1
    rows = F.max_pool2d(shape[None], (side, 1), stride=1, padding=(by_px, 0))
    return F.max_pool2d(rows, (1, side), stride=1, padding=(0, by_px))[0]


def _softened(shape: Tensor, by_px: int) -> Tensor:
    """Turn a hard edge into a slope 2 `by_px` wide; nothing softens at the picture's own border."""
    side = 2 * by_px + 1
    rows = F.avg_pool2d(shape[None], (side, 1), stride=1, padding=(by_px, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, side), stride=1, padding=(0, by_px), count_include_pad=False)[0]


def _mean(image: Tensor, where: Tensor) -> Tensor:
    """The mean colour of a part of a picture, [3,1,1]; of all of it where the part is empty."""
    if not bool(where.any()):
        where = torch.ones_like(where)
    return (image * where).sum(dim=(1, 2), keepdim=True) / where.sum()
