"""Arrays of other libraries on the GPU: `__cuda_array_interface__` (version 3) and DLPack, read without a copy.

Sources: Numba's "CUDA Array Interface (Version 3)"; the Python array API standard's `__dlpack__`, and dlpack.h 0.8.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from edgeseg.errors import BadInputError

LEGACY_STREAM = 1
"""Both protocols' number for CUDA's legacy default stream; 2 is the per-thread one."""
_DLPACK_CUDA = (2, 13)
"""kDLCUDA, kDLCUDAManaged."""
_DLPACK_UNSIGNED = 1
_CAPSULE_NAME = b"dltensor"


@dataclass(frozen=True, eq=False)
class DeviceArray:
    """uint8 on a GPU."""

    address: int
    shape: tuple[int, ...]
    strides_bytes: tuple[int, ...]
    ordinal: int | None
    """Which GPU its producer names; None where the protocol does not say."""
    ready_on: int | None
    """The stream that it is written on and that must be waited for; None where it is ready for the reader's stream."""
    keeper: object
    """Holds its memory."""


def device_array(array: object, reader_stream: int) -> DeviceArray:
    """Read an array's description; its producer readies it for the reader's stream, or says what to wait for.

    Args:
        array: Has `__dlpack__` or `__cuda_array_interface__`; DLPack is preferred, whose producers order themselves.
        reader_stream: Handle of the stream that will read it.

    Raises:
        BadInputError: Neither, or no uint8, or not on a GPU.
    """
    if hasattr(array, "__dlpack__") and hasattr(array, "__dlpack_device__"):
        return _from_dlpack(array, reader_stream)
    description = getattr(array, "__cuda_array_interface__", None)
    if isinstance(description, dict):
        return _from_interface(array, description)
    raise _unusable(type(array).__name__, "an array with __dlpack__ or __cuda_array_interface__")


def _from_interface(array: object, description: dict[str, Any]) -> DeviceArray:
    kind, shape = description.get("typestr", ""), tuple(description.get("shape", ()))
    if kind[1:] != "u1":
        raise _unusable(f"typestr {kind}", "uint8, typestr |u1")
    if description.get("mask") is not None:
        raise _unusable("a masked array", "an array without mask")
    stream = description.get("stream")
    if stream == 0:  # the specification forbids it: it may mean either default stream
        raise _unusable("stream 0", "None, 1 (legacy default), 2 (per-thread default) or a stream's handle")
    strides = description.get("strides")
    address = int(description["data"][0])
    return DeviceArray(address, shape, _strides(shape, strides), None, stream, array)


class _Tensor(ctypes.Structure):
    """DLManagedTensor, as far as a reader needs it."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


def _from_dlpack(array: Any, reader_stream: int) -> DeviceArray:
    device_type, ordinal = array.__dlpack_device__()
    if int(device_type) not in _DLPACK_CUDA:
        raise _unusable(f"DLPack device type {int(device_type)}", "kDLCUDA (2) or kDLCUDAManaged (13)")
    try:
        capsule = array.__dlpack__(stream=reader_stream)
    except BufferError as error:  # the standard's way to say that an array cannot be exported
        raise _unusable(f"its producer refuses: {error}", "an array that DLPack can describe") from error
    tensor = _tensor_of(capsule)
    if (tensor.code, tensor.bits, tensor.lanes) != (_DLPACK_UNSIGNED, 8, 1):
        raise _unusable(f"DLPack type code {tensor.code}, {tensor.bits} bits, {tensor.lanes} lanes", "uint8")
    shape = tuple(tensor.shape[: tensor.ndim])
    strides = tuple(tensor.strides[: tensor.ndim]) if tensor.strides else None
    # The capsule keeps its name, so that it frees the tensor itself when we let go of it.
    return DeviceArray(
        (tensor.data or 0) + tensor.byte_offset, shape, _strides(shape, strides), int(ordinal), None, capsule
    )


def _tensor_of(capsule: object) -> _Tensor:
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    try:
        return _Tensor.from_address(pointer(capsule, _CAPSULE_NAME))
    except ValueError as error:
        raise _unusable(f"a capsule of another name ({error})", "an unused capsule named dltensor") from error


def _strides(shape: tuple[int, ...], strides: Any) -> tuple[int, ...]:
    """Strides in bytes, which for uint8 are elements; compact where none are given."""
    if strides is not None:
        return tuple(strides)
    compact, step = [], 1
    for size in reversed(shape):
        compact.append(step)
        step *= size
    return tuple(reversed(compact))


def _unusable(found: str, expected: str) -> BadInputError:
    return BadInputError("this is no device frame that can be read", found=found, expected=expected)
