"""Pictures side by side on one PNG: a contact sheet that opens anywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edgeseg.frames import Frame
from edgeseg.images import write_png
from edgeseg.proof.evaluation.evaluation_pictures import PREDICTED_COLOUR, Section, Shown

CELL_WIDTH_PX, PICTURE_HEIGHT_PX = 240, 220
CAPTION_PX, TITLE_PX, MARGIN_PX = 40, 36, 10
COLUMNS = 6
PAPER, INK = (24, 24, 24), (235, 235, 235)
FONT = cv2.FONT_HERSHEY_SIMPLEX
DATA_LEGEND = "outlines: masks of the data set"
LEGEND, TRUTH_LEGEND = "solid blue: prediction", "    dashed white: ground truth"


def write_sheet(path: Path, sections: Sequence[Section], *, predictions: bool = True) -> None:
    """Write a contact sheet, whole or not at all; see `contact_sheet`."""
    write_png(path, contact_sheet(sections, predictions=predictions))


def contact_sheet(sections: Sequence[Section], columns: int = COLUMNS, *, predictions: bool = True) -> Frame:
    """Every section under its title, at most `columns` pictures a row.

    Args:
        sections: What to show, in order; at least one picture.
        columns: The widest row.
        predictions: Whether the outlines are a network's; else they are the masks of a data set.

    Returns:
        uint8 [H,W,3] RGB.

    Raises:
        ValueError: There is no picture to show.
    """
    counts = [len(section.pictures) for section in sections]
    if not any(counts):
        raise ValueError("a contact sheet needs at least one picture")
    across = min(columns, max(counts))
    legend = LEGEND + (TRUTH_LEGEND if any(section.has_truth for section in sections) else "")
    parts = [_band(legend if predictions else DATA_LEGEND, across, 0.45, PREDICTED_COLOUR)]
    for section in sections:
        parts.append(_band(section.title, across, 0.6, INK))
        rows = [section.pictures[start : start + across] for start in range(0, len(section.pictures), across)]
        parts += [_row(row, across) for row in rows]
    return np.concatenate(parts)


def _band(text: str, across: int, scale: float, colour: tuple[int, int, int]) -> Frame:
    band = np.full((TITLE_PX, across * CELL_WIDTH_PX, 3), PAPER, np.uint8)
    _write(band, text, TITLE_PX - 11, scale, colour)
    return band


def _row(shown: Sequence[Shown], across: int) -> Frame:
    small = [_fitted(entry.picture) for entry in shown]
    height = max(picture.shape[0] for picture in small)
    blank = np.full((height + CAPTION_PX, CELL_WIDTH_PX, 3), PAPER, np.uint8)
    cells = [_cell(entry, picture, blank.copy()) for entry, picture in zip(shown, small, strict=True)]
    return np.concatenate([*cells, *[blank] * (across - len(cells))], axis=1)


def _fitted(picture: Frame) -> Frame:
    """The picture as large as a cell takes it, in its own proportions."""
    height, width = picture.shape[:2]
    scale = min((CELL_WIDTH_PX - MARGIN_PX) / width, PICTURE_HEIGHT_PX / height)
    size = max(1, math.floor(width * scale)), max(1, math.floor(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _cell(shown: Shown, picture: Frame, cell: Frame) -> Frame:
    """Picture above its words; `cell` is drawn into."""
    (height, width), room = picture.shape[:2], cell.shape[0] - CAPTION_PX
    left = (CELL_WIDTH_PX - width) // 2
    cell[room - height : room, left : left + width] = picture
    _write(cell, shown.note, room + 16, 0.45, INK)
    _write(cell, shown.name, room + 32, 0.38, INK)
    return cell


def _write(picture: Frame, text: str, baseline: int, scale: float, colour: tuple[int, int, int]) -> None:
    """One line, cut where the picture ends; OpenCV's letters are ASCII only."""
    line = text.encode("ascii", "replace").decode()
    room = picture.shape[1] - MARGIN_PX
    while line and cv2.getTextSize(line, FONT, scale, 1)[0][0] > room:
        line = line[:-1]
    cv2.putText(picture, line, (MARGIN_PX // 2, baseline), FONT, scale, colour, 1, cv2.LINE_AA)
