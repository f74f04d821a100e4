"""Masks as run lengths in COCO's compressed form (pycocotools, ``maskApi.c``)."""

from __future__ import annotations

import numpy as np

from edgeseg.frames import Mask

LOW_BITS, MORE, SIGN = 0x1F, 0x20, 0x10
FIRST_CHARACTER = 48


def rle_counts(mask: Mask) -> list[int]:
    """Lengths of the runs down the columns, unmarked and marked in turn, unmarked first.

    Args:
        mask: uint8 [H,W]; everything but 0 is marked.
    """
    marked = (mask != 0).ravel(order="F")
    borders = np.flatnonzero(marked[1:] != marked[:-1]) + 1
    edges = np.concatenate([[0], borders, [marked.size]]) if marked.size else np.zeros(1, int)
    counts = np.diff(edges).tolist()
    return [0, *counts] if marked.size and marked[0] else counts


def coco_rle(mask: Mask) -> dict[str, object]:
    """A mask as ``{"size": [H, W], "counts": text}``, which pycocotools' ``mask.decode`` reads."""
    return {"size": list(mask.shape), "counts": compressed(rle_counts(mask))}


def compressed(counts: list[int]) -> str:
    """Counts as text: from the third on the difference to the last but one, 5 bits a character, low bits first."""
    text = bytearray()
    for index, count in enumerate(counts):
        rest = count - counts[index - 2] if index > 2 else count
        while True:
            bits = rest & LOW_BITS
            rest >>= 5
            more = rest != (-1 if bits & SIGN else 0)
            text.append((bits | (MORE if more else 0)) + FIRST_CHARACTER)
            if not more:
                break
    return text.decode("ascii")
