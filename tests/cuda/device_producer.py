"""A tiny producer of arrays on the device, over pycuda's memory: what cupy or torch would be, were they here."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

POISON = 201


class Produced:
    """uint8 rows on the device at a pitch, written late on a stream of the producer's own.

    Args:
        values: uint8 [H,...], each row contiguous.
        pitch_bytes: From row to row.
        offset_bytes: From the allocation's first byte to the array's.
    """

    def __init__(self, values: NDArray[np.uint8], pitch_bytes: int, offset_bytes: int = 0) -> None:
        import pycuda.driver as cuda

        rows = values.reshape(values.shape[0], -1)
        host = np.full(offset_bytes + pitch_bytes * rows.shape[0], POISON, np.uint8)
        view = host[offset_bytes:].reshape(rows.shape[0], pitch_bytes)
        view[:, : rows.shape[1]] = rows
        self._pinned = cuda.pagelocked_empty(host.shape, np.uint8)
        self._pinned[...] = host
        self.memory = cuda.mem_alloc(host.nbytes)
        self.stream = cuda.Stream(1)
        cuda.memset_d8_async(self.memory, POISON, host.nbytes, self.stream)
        cuda.memcpy_htod_async(self.memory, self._pinned, self.stream)
        inner = np.ascontiguousarray(values[:1]).strides[1:]
        self.shape, self.strides = values.shape, (pitch_bytes, *inner)
        self.offset = offset_bytes

    def free(self) -> None:
        self.stream.synchronize()
        self.memory.free()
        self._pinned.base.free()
        del self.stream, self._pinned


class Interface:
    """Speaks `__cuda_array_interface__` alone."""

    def __init__(self, produced: Produced, **changes: Any) -> None:
        self.produced = produced
        self.__cuda_array_interface__ = {
            "shape": produced.shape,
            "typestr": "|u1",
            "data": (int(produced.memory) + produced.offset, False),
            "strides": produced.strides,
            "stream": produced.stream.handle,
            "version": 3,
        } | changes


class _Managed(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", ctypes.c_int32 * 2),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
        ("manager", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    )


class Dlpack:
    """Speaks DLPack alone; the reader's stream is made to wait by an event, as the standard has it."""

    def __init__(self, produced: Produced, device: tuple[int, int] = (2, 0), kind: tuple[int, int] = (1, 8)) -> None:
        self.produced, self._device, self._kind = produced, device, kind
        self.exports: list[Any] = []
        self.streams: list[int] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device

    def __dlpack__(self, *, stream: int | None = None) -> object:
        import cuda.bindings.driver as driver

        assert stream is not None and stream > 2, "the reader must name its stream"
        self.streams.append(stream)
        produced = self.produced
        _, event = driver.cuEventCreate(0)
        driver.cuEventRecord(event, driver.CUstream(produced.stream.handle))
        driver.cuStreamWaitEvent(driver.CUstream(stream), event, 0)
        driver.cuEventDestroy(event)
        ndim = len(produced.shape)
        shape, strides = (ctypes.c_int64 * ndim)(*produced.shape), (ctypes.c_int64 * ndim)(*produced.strides)
        code, bits = self._kind
        managed = _Managed(
            data=int(produced.memory),
            device=self._device,
            ndim=ndim,
            code=code,
            bits=bits,
            lanes=1,
            shape=ctypes.addressof(shape),
            strides=ctypes.addressof(strides),
            byte_offset=produced.offset,
        )
        self.exports.append((managed, shape, strides))
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        return new(ctypes.addressof(managed), b"dltensor", None)  # type: ignore[no-any-return]
