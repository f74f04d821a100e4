"""What a person sees: the mask's outline on the picture and a caption with area, engine and inference time.

Line width, letters and margins follow the picture's size, so that 352 pixels and 4K read alike. The outline
is the sky blue of the Okabe-Ito palette (Okabe & Ito 2008, "Color Universal Design"), told from red tissue by
every common kind of colour vision, between dark edges that hold against specular highlights. The mask is not
filled: the tissue inside is what the viewer must judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edgeseg.frames import Frame, Mask

SKY_BLUE_BGR = (233, 180, 86)
DARK_BGR = (24, 16, 8)
WHITE_BGR = (255, 255, 255)
FONT = cv2.FONT_HERSHEY_SIMPLEX
SHADE = 0.4
"""How bright the picture stays under the caption."""
MAX_WIDTH = 0.96
"""Of the picture that the caption may take."""
MIN_LETTER_SCALE = 0.2
"""Smaller letters cannot be read and are left out."""


@dataclass(frozen=True)
class LetterSize:
    """A caption's geometry in pixels."""

    scale: float
    """OpenCV's font scale."""
    stroke: int
    line_height: int
    margin: int


def caption(structure: str, area_fraction: float, engine: str, infer_ms: float) -> tuple[str, str]:
    """The two lines of the caption.

    Args:
        structure: What the network marks, for example ``polyp``.
        area_fraction: Marked part of the picture, 0 to 1.
        engine: Backend and precision.
        infer_ms: Inference time of this frame in milliseconds.
    """
    return f"{structure} {100 * area_fraction:.1f} % of picture", f"{engine}  {infer_ms:.1f} ms"


def draw_overlay(picture: Frame, mask: Mask, lines: Sequence[str]) -> None:
    """Draw outline and caption into a picture.

    Args:
        picture: uint8 [H,W,3], BGR, contiguous; changed in place.
        mask: uint8 [H,W]; everything but 0 is marked.
        lines: The caption, at the lower left.
    """
    draw_outline(picture, mask)
    draw_caption(picture, lines)


def outline_width_px(height: int, width: int) -> int:
    """Width of the coloured line: 2 px up to SD, 5 at 1080p, 10 at 4K."""
    return max(2, round(min(height, width) / 216))


def draw_outline(picture: Frame, mask: Mask) -> None:
    """Draw the border of the marked regions, holes included, into a BGR picture."""
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return
    width = outline_width_px(*mask.shape)
    edge = 2 * max(1, width // 3)
    cv2.drawContours(picture, contours, -1, DARK_BGR, width + edge, cv2.LINE_AA)
    cv2.drawContours(picture, contours, -1, SKY_BLUE_BGR, width, cv2.LINE_AA)


def draw_caption(picture: Frame, lines: Sequence[str]) -> None:
    """Write white lines on a shaded box at the lower left of a BGR picture; on tiny pictures nothing."""
    height, width = picture.shape[:2]
    size = _letter_size(lines, height, width)
    if size is None:
        return
    box_height = len(lines) * size.line_height + size.margin
    box_width = min(width, _text_width(lines, size.scale, size.stroke) + 2 * size.margin)
    box = picture[max(0, height - box_height) :, :box_width]
    np.copyto(box, cv2.convertScaleAbs(box, alpha=SHADE))
    for row, line in enumerate(lines):
        baseline = height - size.margin - (len(lines) - 1 - row) * size.line_height
        cv2.putText(picture, line, (size.margin, baseline), FONT, size.scale, WHITE_BGR, size.stroke, cv2.LINE_AA)


def _letter_size(lines: Sequence[str], height: int, width: int) -> LetterSize | None:
    scale = max(0.4, min(height, width) / 900)
    needed = _text_width(lines, scale, 1) / (MAX_WIDTH * width)
    scale = scale / max(1.0, needed)
    if scale < MIN_LETTER_SCALE:
        return None
    line_height = max(8, round(34 * scale))
    return LetterSize(scale, max(1, round(1.6 * scale)), line_height, max(3, line_height // 2))


def _text_width(lines: Sequence[str], scale: float, stroke: int) -> int:
    return max(cv2.getTextSize(line, FONT, scale, stroke)[0][0] for line in lines)
