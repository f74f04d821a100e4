from __future__ import annotations

import ctypes
import faulthandler
import mmap
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.runtime.cuda.kernels.parameters import Launch

HERE = Path(__file__).parent
COUNT = 7
Bytes = NDArray[np.uint8]
Extent = ctypes.c_uint * 3


class HostKernel(ctypes.Structure):
    """`CudaDoubleKernel` of tests/cuda_double/kernel_library.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("parameter_count", ctypes.c_uint),
        ("parameter_bytes", ctypes.c_uint),
        ("offsets", ctypes.c_void_p),
        ("sizes", ctypes.c_void_p),
        ("run", ctypes.CFUNCTYPE(None, ctypes.POINTER(Extent), ctypes.POINTER(Extent), ctypes.c_void_p)),
    )


@dataclass(frozen=True)
class HostKernels:
    """The g++ build of the kernels."""

    table: dict[str, HostKernel]

    def launch(self, name: str, launch: Launch, params: ctypes.Structure) -> None:
        """Run a kernel in a process of its own: an access outside its buffers must not end the tests."""
        assert self.table[name].parameter_bytes == ctypes.sizeof(params)
        child = os.fork()
        if child == 0:
            faulthandler.disable()
            grid, block = (Extent(*extent) for extent in launch)
            self.table[name].run(grid, block, ctypes.addressof(params))
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        assert status == 0, f"{name} read or wrote outside its buffers (signal {status & 127})"


class Guarded:
    """Shared memory with unreadable pages on both sides; the bytes touch the page at the end, or the one at the start.

    `PAD` bytes on the side that touches no page keep their value, or a kernel has written outside.
    """

    PAD = 0x5A

    def __init__(self, size: int, at_end: bool = True) -> None:
        page = mmap.PAGESIZE
        room = -(-max(size, 1) // page) * page
        self._memory = mmap.mmap(-1, room + 2 * page)
        everything = np.frombuffer(self._memory, np.uint8)
        base = everything.ctypes.data
        inner = everything[page : page + room]
        inner[:] = self.PAD
        self.bytes: Bytes = inner[room - size :] if at_end else inner[:size]
        self._pad = inner[: room - size] if at_end else inner[size:]
        libc = ctypes.CDLL(None, use_errno=True)
        for guard in (base, base + page + room):
            assert libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(page), 0) == 0

    @property
    def address(self) -> int:
        return self.bytes.ctypes.data

    def intact(self) -> bool:
        return bool((self._pad == self.PAD).all())


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> HostKernels:
    if shutil.which("g++") is None:
        pytest.skip("no g++: the kernels cannot be built for the CPU")
    library = tmp_path_factory.mktemp("kernels") / "libedgeseg_kernels.so"
    flags = [
        "-std=c++20",
        "-O2",
        "-fPIC",
        "-shared",
        "-fno-strict-aliasing",
        "-Wall",
        "-Werror",
        "-Wno-unknown-pragmas",
    ]
    subprocess.run(["g++", *flags, str(HERE / "edgeseg_kernels.cpp"), "-o", str(library)], check=True)
    table = (HostKernel * COUNT).in_dll(ctypes.CDLL(str(library)), "cudadouble_kernels")
    return HostKernels({kernel.name.decode(): kernel for kernel in table})


@pytest.fixture(scope="session")
def guarded() -> type[Guarded]:
    return Guarded


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real images and video."""
    folder = Path(os.environ.get("EDGESEG_DATA", HERE.parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real images at {folder} (EDGESEG_DATA)")
    return folder
