"""Frame mathematics: the one resize and the one mask rule, for training, calibration, runtime and CUDA kernels."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.specs import Crop

Frame = NDArray[np.uint8]
"""uint8 [H,W,3], RGB unless a name says otherwise."""
Mask = NDArray[np.uint8]
"""uint8 [H,W]: 0 or 255 for one class, the class index for several."""
Probability = NDArray[np.float32]
"""float32 [C,H,W] in 0..1."""

THRESHOLD = 0.5


def resize_to_network(frame: Frame, height: int, width: int, crop: Crop | None = None) -> Frame:
    """Stretch a frame (or its crop) to the network's size.

    While the picture is at least twice too large in both directions it is halved by 2x2 means (an odd last row or
    column is left out); the rest is bilinear with half-pixel centres. Every step rounds to uint8.

    Args:
        frame: uint8 [H,W,3].
        height: Network height in pixels.
        width: Network width in pixels.
        crop: Window to take first; None takes the whole frame.

    Returns:
        uint8 [height,width,3], in the frame's own colour order.
    """
    if crop is not None:
        frame = frame[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    while frame.shape[0] >= 2 * height and frame.shape[1] >= 2 * width:
        rows, columns = frame.shape[0] // 2, frame.shape[1] // 2
        frame = _as_uint8(cv2.resize(frame[: 2 * rows, : 2 * columns], (columns, rows), interpolation=cv2.INTER_AREA))
    if frame.shape[:2] != (height, width):
        frame = _as_uint8(cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR))
    return np.ascontiguousarray(frame)


def resize_mask_to_network(mask: Mask, height: int, width: int) -> Mask:
    """Bring a ground-truth mask to the network's size, nearest neighbour, so that it keeps its values.

    Args:
        mask: uint8 [H,W].
        height: Network height in pixels.
        width: Network width in pixels.

    Returns:
        uint8 [height,width].
    """
    return _as_uint8(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT))


SCALING_ERROR = 1e-5
"""More than float32 rounding adds to a probability between its neighbours."""


def mask_from_probability(probability: Probability, height: int, width: int, threshold: float = THRESHOLD) -> Mask:
    """Scale a probability map to the frame and decide every pixel.

    Args:
        probability: float32 [C,h,w].
        height: Frame height in pixels.
        width: Frame width in pixels.
        threshold: With one class, a pixel belongs to it where p >= threshold.

    Returns:
        uint8 [height,width]: 255 or 0 for one class, else the index of the largest probability.
    """
    if probability.shape[0] == 1:
        if cv2.minMaxLoc(probability[0])[1] < threshold - SCALING_ERROR:
            return np.zeros((height, width), np.uint8)  # nothing between two pixels is larger than both
        scaled = scale_plane(probability[0], height, width)
        return (scaled >= threshold).view(np.uint8) * np.uint8(255)
    planes = np.stack([scale_plane(plane, height, width) for plane in probability])
    return np.asarray(planes.argmax(axis=0), dtype=np.uint8)


def confidence_of(probability: Probability, threshold: float = THRESHOLD) -> float:
    """How sure a network is of what it marks: the mean probability inside the mask, at the network's size.

    Args:
        probability: float32 [C,h,w]; of several classes, the largest counts where it is not the first (the background).
        threshold: The threshold of one class, as for the mask.

    Returns:
        0 to 1; 0 where nothing is marked.
    """
    if probability.shape[0] == 1:
        largest, marked = probability[0], probability[0] >= threshold
    else:
        largest, marked = probability.max(axis=0), probability.argmax(axis=0) > 0
    return float(cv2.mean(largest, marked.view(np.uint8))[0])


def scale_plane(plane: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Scale one float plane [h,w] to [height,width], bilinear with half-pixel centres."""
    if plane.shape == (height, width):
        return plane
    scaled: Any = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
    return scaled  # type: ignore[no-any-return]


def _as_uint8(array: Any) -> NDArray[np.uint8]:
    """OpenCV's stubs do not say that uint8 in gives uint8 out."""
    return array  # type: ignore[no-any-return]
