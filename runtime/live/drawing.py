"""What a live picture shows of its mask."""

from __future__ import annotations

from collections.abc import Sequence

from edgeseg.runtime.live.frames import LiveMask, OverlayMode
from edgeseg.runtime.stream.overlay import draw
from edgeseg.runtime.stream.picture import Picture


def draw_live(picture: Picture, mask: LiveMask | None, lines: Sequence[str], mode: OverlayMode) -> Picture:
    """The picture with mask and lines; what the stream says of itself stays on it whatever is drawn of the mask."""
    if mask is None or mode == "off":
        return draw(picture, None, lines)
    return draw(picture, mask.mask, lines, mode, mask.probability if mode == "heat" else None)
