"""A lane's memory: allocated once, before the first frame."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.frames import Mask, Probability
from edgeseg.runtime.cuda.buffers import PinnedFrames, device_buffer, mapped_address, pinned_array
from edgeseg.specs import ModelSpec


@dataclass(frozen=True, eq=False)
class LaneBuffers:
    """Device addresses and the pinned arrays that they are filled from or copied to."""

    frame: int
    """The copy of the frame on a discrete GPU; 0 on an integrated one, which reads frames in place."""
    staging: NDArray[np.uint8]
    """Pinned: frames that do not lie in pinned memory themselves are copied here first."""
    pinned: PinnedFrames
    """Knows `staging`."""
    network_input: int
    """uint8 [h,w,3] RGB."""
    network_output: int
    """float32 [C,h,w]."""
    mask: int
    """uint8 [h,w]."""
    area: int
    """uint32."""
    host_probability: Probability
    host_mask: Mask
    host_area: NDArray[np.uint32]


def allocate(stack: contextlib.ExitStack, model: ModelSpec, frame_bytes: int, integrated: bool) -> LaneBuffers:
    """Allocate everything that a lane needs.

    Args:
        stack: Frees it.
        model: The network.
        frame_bytes: Size of the largest frame.
        integrated: Whether the GPU reads host memory in place.

    Raises:
        DeviceMemoryError: There is too little memory; what was allocated is freed by `stack`.
    """
    pixels = model.height * model.width
    shape = (model.channels, model.height, model.width)
    staging = pinned_array(stack, (frame_bytes,), np.uint8, "a frame", mapped=integrated)
    pinned = PinnedFrames()
    pinned.add(staging, mapped_address(staging) if integrated else 0)
    return LaneBuffers(
        frame=0 if integrated else device_buffer(stack, frame_bytes, "a frame"),
        staging=staging,
        pinned=pinned,
        network_input=device_buffer(stack, 3 * pixels, "the network's input"),
        network_output=device_buffer(stack, 4 * math.prod(shape), "the network's output"),
        mask=device_buffer(stack, pixels, "the mask"),
        area=device_buffer(stack, 4, "the mask's area"),
        host_probability=pinned_array(stack, shape, np.float32, "the network's output"),
        host_mask=pinned_array(stack, shape[1:], np.uint8, "the mask"),
        host_area=pinned_array(stack, (1,), np.uint32, "the mask's area"),
    )
