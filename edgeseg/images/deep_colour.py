"""Colour of 16 bits, of which Pillow would drop the lower half without a word, and 16 bits to 8."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeseg.errors import BadInputError

Kind = Literal["grey", "palette", "colour"]
Planes = tuple[NDArray[Any], "NDArray[np.uint8] | None", "NDArray[np.uint8] | None", Kind, int]
"""Pixels, alpha, palette, kind and full scale of a loaded picture, as `StoredPicture` has them."""
_BITS_TAG = 258


def deep_colour(path: Path, data: bytes, image: Image.Image) -> Planes | None:
    """Read the planes of 16-bit colour; None where a picture has none.

    Raises:
        BadInputError: More than 8 bits a colour that OpenCV does not read either.
    """
    tags = getattr(image, "tag_v2", None)
    if image.format == "PNG":
        is_deep = data[24] == 16 and image.mode in ("RGB", "RGBA", "LA")
    elif tags is not None:
        bits = tags.get(_BITS_TAG, (1,))
        is_deep = len(bits) > 1 and max(bits) > 8
    else:
        is_deep = image.format == "PPM" and image.mode == "RGB" and int(data.split(maxsplit=4)[3]) > 255
    if not is_deep:
        return None
    decoded: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16 or decoded.ndim != 3:
        raise BadInputError(
            f"{path} has more than 8 bits a colour in a way that edgeseg does not read",
            expected="16-bit PNG, TIFF or PPM, or 8 bits",
            next_command="save it with 8 bits",
        )
    alpha = None
    if decoded.shape[2] == 4:
        alpha = eight_bits(decoded[..., 3])
        alpha = None if bool((alpha == 255).all()) else alpha
    return np.ascontiguousarray(decoded[..., 2::-1]), alpha, None, "colour", 65535


def eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """16 bits to 8: 65535 becomes 255, rounded."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
