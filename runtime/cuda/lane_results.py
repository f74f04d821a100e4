"""A frame's result in a lane's own memory, on the host or left on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeseg.frames import Mask, Probability


@dataclass(frozen=True, eq=False)
class LaneResult:
    """A result on the host, valid until the lane's next frame."""

    probability: Probability
    """float32 [C,h,w]."""
    mask: Mask
    """uint8 [h,w] at the network's size."""
    area_px: int
    """Pixels of the mask that are not background."""


@dataclass(frozen=True)
class DeviceOutput:
    """An array on the device, for any library that reads `__cuda_array_interface__`."""

    address: int
    shape: tuple[int, ...]
    typestr: str
    stream: int
    """Handle of the stream that it is written on."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Version 3: the reader waits for `stream`. Not marked as read-only, which PyTorch refuses; write nothing."""
        return {
            "shape": self.shape,
            "typestr": self.typestr,
            "data": (self.address, False),
            "strides": None,
            "stream": self.stream,
            "version": 3,
        }


@dataclass(frozen=True)
class DeviceResult:
    """A result on the device, perhaps not yet written; valid until the lane's next frame."""

    probability: DeviceOutput
    """float32 [C,h,w]."""
    mask: DeviceOutput
    """uint8 [h,w] at the network's size."""
    area_px: DeviceOutput
    """uint32 [1]: pixels of the mask that are not background."""
