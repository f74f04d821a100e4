"""Shared memory between the parent and its worker: one slot a frame, with room for the frame's result.

A slot belongs to the parent until it submits the frame in it, then to the worker until it answers. The parent takes the
slots of a dead worker back only once the operating system has reaped it: until then the GPU may still read them.
"""

from __future__ import annotations

import contextlib
import math
import shutil
from dataclasses import dataclass
from multiprocessing import shared_memory
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import BadInputError, MissingComponentError
from edgeseg.frames import Probability

PAGE_BYTES = 4096
"""Slots begin on pages: memory is pinned by the page."""
_STAMP_BYTES = 16
_SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class RingLayout:
    """How the shared memory is divided; parent and worker compute the same addresses from it."""

    slots: int
    frame_bytes: int
    """Room for one frame."""
    result_shape: tuple[int, int, int]
    """[C,h,w] of the probability map that the network gives."""

    @property
    def frame_stride_bytes(self) -> int:
        """Distance from one frame to the next."""
        return _whole_pages(self.frame_bytes)

    @property
    def frames_bytes(self) -> int:
        """All frames; they come first, so this is also where the results begin."""
        return self.slots * self.frame_stride_bytes

    @property
    def result_stride_bytes(self) -> int:
        """Distance from one result to the next: a stamp in front, float32 [C,h,w], a stamp behind."""
        return _whole_pages(2 * _STAMP_BYTES + 4 * math.prod(self.result_shape))

    @property
    def total_bytes(self) -> int:
        """Size of the shared memory."""
        return self.frames_bytes + self.slots * self.result_stride_bytes


class FrameRing:
    """One side's view of the shared memory; `create` and `attach` make it.

    Arrays that it hands out must not outlive it.
    """

    def __init__(self, memory: shared_memory.SharedMemory, layout: RingLayout, owner: bool) -> None:
        self._memory = memory
        self._owner = owner
        self.layout = layout

    @classmethod
    def create(cls, layout: RingLayout) -> FrameRing:
        """Make the memory; closing it then removes it.

        Raises:
            MissingComponentError: There is not so much shared memory; writing would then kill the process.
        """
        if _SHARED_MEMORY.is_dir() and (free := shutil.disk_usage(_SHARED_MEMORY).free) < layout.total_bytes:
            raise MissingComponentError(
                "there is too little shared memory for the frames",
                found=f"{free} bytes free in {_SHARED_MEMORY}",
                expected=f"{layout.total_bytes} bytes",
                next_command="in a container: docker run --shm-size=1g ...",
            )
        return cls(shared_memory.SharedMemory(create=True, size=layout.total_bytes), layout, owner=True)

    @classmethod
    def attach(cls, name: str, layout: RingLayout) -> FrameRing:
        """Map memory that another process made."""
        return cls(shared_memory.SharedMemory(name=name), layout, owner=False)

    @property
    def name(self) -> str:
        """The name that `attach` takes."""
        return self._memory.name

    def frames(self) -> NDArray[np.uint8]:
        """All frames' memory, uint8 [frames_bytes], to be pinned."""
        return np.ndarray((self.layout.frames_bytes,), np.uint8, self._memory.buf)

    def frame(self, slot: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """The samples of a slot's frame as uint8 of a shape that has room; see `check_room`."""
        self.check_room(shape)
        return np.ndarray(shape, np.uint8, self._memory.buf, slot * self.layout.frame_stride_bytes)

    def check_room(self, shape: tuple[int, ...]) -> None:
        """Refuse a frame that is larger than a slot.

        Raises:
            BadInputError: It is.
        """
        if math.prod(shape) > self.layout.frame_bytes:
            raise BadInputError(
                "the frame is larger than the memory that was set aside for one",
                found=f"{list(shape)}, {math.prod(shape)} bytes",
                expected=f"at most {self.layout.frame_bytes} bytes",
            )

    def write_result(self, slot: int, sequence: int, probability: Probability) -> None:
        """Put a result into its slot, between two stamps that name its frame."""
        before, values, after = self._result(slot)
        before[...] = sequence
        values[...] = probability
        after[...] = sequence

    def read_result(self, slot: int, sequence: int) -> Probability | None:
        """A copy of the slot's result, float32 [C,h,w]; None where it is not whole or another frame's."""
        before, values, after = self._result(slot)
        if (before != sequence).any() or (after != sequence).any():
            return None
        return values.copy()

    def forget_result(self, slot: int) -> None:
        """Blank the stamps, so that nothing old can pass for a result of the next frame."""
        before, _, after = self._result(slot)
        before[...] = after[...] = 0

    def close(self) -> None:
        """Unmap the memory and, where this side made it, remove it; closing twice is fine."""
        with contextlib.suppress(BufferError):  # an array still looks at it: the mapping ends with the process
            self._memory.close()
        if self._owner:
            self._owner = False
            self._memory.unlink()

    def _result(self, slot: int) -> tuple[NDArray[np.uint64], NDArray[np.float32], NDArray[np.uint64]]:
        layout, memory = self.layout, self._memory.buf
        start = layout.frames_bytes + slot * layout.result_stride_bytes
        body_bytes = 4 * math.prod(layout.result_shape)
        end = start + layout.result_stride_bytes - _STAMP_BYTES
        assert start + _STAMP_BYTES + body_bytes <= end
        return (
            np.ndarray((2,), np.uint64, memory, start),
            np.ndarray(layout.result_shape, np.float32, memory, start + _STAMP_BYTES),
            np.ndarray((2,), np.uint64, memory, end),
        )


def _whole_pages(count: int) -> int:
    return -(-count // PAGE_BYTES) * PAGE_BYTES
