"""Draws the mask on the picture, and a caption that says what it marks, how sure it is and how fast.

Line width, letters and margins follow the picture's size, so that 352 pixels and 4K read alike. The outline
is the sky blue of the Okabe-Ito palette (Okabe & Ito 2008, "Color Universal Design"), told from red tissue by
every common kind of colour vision, between dark edges that hold against specular highlights. The mask is not
filled unless asked for: the tissue inside is what the viewer must judge. Probabilities are shown in cividis (Nunez,
Anderton & Renslow 2018), which reads alike with and without red-green blindness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.frames import Mask, Probability
from edgeseg.runtime.video.canvas import FONT, Canvas, Colour, outlines_of
from edgeseg.runtime.video.picture import Picture

OverlayMode = Literal["contour", "fill", "heat", "off"]
"""``contour`` draws the border alone, ``fill`` tints the marked part too, ``heat`` shows the probabilities as
colours, ``off`` draws nothing, not even the caption."""
OVERLAY_MODES: tuple[OverlayMode, ...] = get_args(OverlayMode)
SKY_BLUE: Colour = (86, 180, 233)
CLASS_COLOURS: tuple[Colour, ...] = (
    SKY_BLUE,
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (213, 94, 0),
)
"""The colours of the classes from 1 on, all of the Okabe-Ito palette; with more classes they come again."""
DARK: Colour = (8, 16, 24)
MARKED = 255
"""The value of marked pixels of a network of one class."""
FILL_OPACITY = 0.35
HEAT_OPACITY = 0.5
HEAT_FROM = 0.02
"""The probability from which the heat map shows; lower ones leave the picture as it is."""
HEAT_RISE = 0.2
"""The range of probability above `HEAT_FROM` over which the heat map grows to its full opacity."""
SHADE = 0.4
"""The brightness that the picture keeps under the caption, as a share."""
MAX_WIDTH = 0.96
"""The share of the picture's width that the caption may take."""
MIN_LETTER_SCALE = 0.2
"""The smallest font scale; smaller letters cannot be read and are left out."""


@dataclass(frozen=True)
class LetterSize:
    """A caption's geometry in pixels."""

    scale: float
    """The font scale of OpenCV."""
    stroke: int
    line_height: int
    margin: int


def caption(
    structure: str, area_fraction: float, confidence: float, engine: str, infer_ms: float, state: str = ""
) -> tuple[str, ...]:
    """Write the lines of the caption.

    Args:
        structure: What the network marks, for example ``polyp``.
        area_fraction: The marked part of the picture, 0 to 1.
        confidence: The mean probability inside the mask, 0 to 1; shown only if something is marked.
        engine: The engine's backend and precision.
        infer_ms: The time of this frame's inference, in milliseconds.
        state: The state of a live pipeline, for example ``live, mask 48 ms old``; it gets its own line.
    """
    sure = f"  confidence {100 * confidence:.0f} %" if area_fraction > 0 else ""
    lines = (f"{structure} {100 * area_fraction:.1f} % of picture{sure}", f"{engine}  {infer_ms:.1f} ms")
    return (*lines, state) if state else lines


def draw(
    picture: Picture,
    mask: Mask | None,
    lines: Sequence[str],
    mode: OverlayMode = "contour",
    probability: Probability | None = None,
) -> Picture:
    """Draw mask and caption into a copy of a picture.

    Args:
        picture: The picture, which is left as it is.
        mask: uint8 [H,W] at the picture's size: 255 is marked, or class indices from 1 on are, each in a colour of its
            own. None draws the caption alone.
        lines: The caption, at the lower left.
        mode: How to draw the mask.
        probability: The map of the whole picture for ``heat``, float32 [1,h,w] of any size; without it,
            ``fill`` is drawn.

    Returns:
        A picture of planes with memory of its own; `picture` itself where nothing is drawn.
    """
    if mode == "off" or (mask is None and not lines):
        return picture
    planar = picture.planar()
    drawn = planar.copy() if planar is picture else planar
    canvas = Canvas(drawn)
    if mask is not None:
        _draw_mask(canvas, mask, mode, probability)
    draw_caption(canvas, picture.height, picture.width, lines)
    canvas.close()
    return drawn


def _draw_mask(canvas: Canvas, mask: Mask, mode: OverlayMode, probability: Probability | None) -> None:
    if mode == "heat" and probability is not None:
        canvas.blend(_uint8(cv2.convertScaleAbs(probability[0], alpha=255)), *_heat_colours())
    width_px = outline_width_px(*mask.shape)
    for region, colour in _regions(mask):
        outlines = outlines_of(region)
        if not outlines:
            continue
        if mode == "fill" or (mode == "heat" and probability is None):
            canvas.tint(region, colour, FILL_OPACITY)
        canvas.darken(outlines, DARK, cased_width_px(*mask.shape))
        canvas.lines(outlines, colour, width_px)


def _regions(mask: Mask) -> list[tuple[Mask, Colour]]:
    """The regions of each class with its colour: the mask itself where it holds 0 and 255."""
    largest = int(mask.max(initial=0))
    if largest == MARKED:
        return [(mask, SKY_BLUE)]
    return [
        (_uint8(cv2.inRange(mask, index, index)), CLASS_COLOURS[(index - 1) % len(CLASS_COLOURS)])
        for index in range(1, largest + 1)
    ]


def outline_width_px(height: int, width: int) -> int:
    """The width of the coloured line: 2 px up to SD, 5 at 1080p, 10 at 4K."""
    return max(2, round(min(height, width) / 216))


def cased_width_px(height: int, width: int) -> int:
    """The width of the outline with its dark edges."""
    width_px = outline_width_px(height, width)
    return width_px + 2 * max(1, width_px // 3)


@lru_cache(maxsize=1)
def _heat_colours() -> tuple[tuple[Colour, ...], NDArray[np.uint8]]:
    """A colour and an opacity for each level."""
    ramp = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_CIVIDIS)
    colours = tuple((int(red), int(green), int(blue)) for blue, green, red in ramp[:, 0])
    rise = np.clip((np.arange(256) / 255 - HEAT_FROM) / HEAT_RISE, 0, 1)
    return colours, np.rint(255 * HEAT_OPACITY * rise).astype(np.uint8)


def draw_caption(canvas: Canvas, height: int, width: int, lines: Sequence[str]) -> None:
    """Write white lines on a shaded box at the lower left; tiny pictures get nothing."""
    size = _letter_size(lines, height, width) if lines else None
    if size is None:
        return
    box_height = min(height, len(lines) * size.line_height + size.margin)
    box_width = min(width, _text_width(lines, size.scale, size.stroke) + 2 * size.margin)
    canvas.shade(height - box_height, 0, box_height, box_width, SHADE)
    for row, line in enumerate(lines):
        baseline = height - size.margin - (len(lines) - 1 - row) * size.line_height
        canvas.write(line, size.margin, baseline, size.scale, size.stroke)


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


def _uint8(array: Any) -> NDArray[np.uint8]:
    """Tell the type checker that an array is uint8: OpenCV's stubs do not say that uint8 stays uint8."""
    return array  # type: ignore[no-any-return]
