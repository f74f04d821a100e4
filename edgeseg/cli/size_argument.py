"""A size as it is typed: WIDTHxHEIGHT."""

from __future__ import annotations

import re
from typing import NamedTuple

from edgeseg.errors import UsageError

LARGEST_PX = 16_384


class Size(NamedTuple):
    """The size of a picture in pixels."""

    width: int
    height: int


def parse_size(text: str) -> Size:
    """Read ``1920x1080``.

    Raises:
        UsageError: Something else, or a side that no picture has.
    """
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip().lower())
    width, height = (int(found[1]), int(found[2])) if found else (0, 0)
    if not (0 < width <= LARGEST_PX and 0 < height <= LARGEST_PX):
        raise UsageError(
            "--size takes a width and a height in pixels", found=text, expected="WIDTHxHEIGHT, for example 1920x1080"
        )
    return Size(width, height)
