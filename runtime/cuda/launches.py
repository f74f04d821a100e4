"""The compiled kernels on a device, and their plain (not captured) launches."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from edgeseg.optional import require
from edgeseg.runtime.cuda.cuda_errors import translated
from edgeseg.runtime.cuda.kernels.parameters import (
    MASK_KERNEL,
    PREPROCESS_KERNELS,
    Launch,
    MaskParams,
    PixelFormat,
    PreprocessParams,
    mask_launch,
    preprocess_launch,
)


class Kernels:
    """The functions of one fatbin in the current context.

    Args:
        image: A fatbin.
        network_width: Network width in pixels.
        network_height: Network height in pixels.

    Raises:
        MissingComponentError: It holds nothing for this GPU.
    """

    def __init__(self, image: bytes, network_width: int, network_height: int) -> None:
        pycuda = require("pycuda.driver")
        with translated("load the kernels"):
            self._module: Any = pycuda.module_from_buffer(image)
            self._preprocess = {kind: self._module.get_function(name) for kind, name in PREPROCESS_KERNELS.items()}
            self._mask = self._module.get_function(MASK_KERNEL)
        self._preprocess_launch = preprocess_launch(network_width, network_height)
        self._mask_launch = mask_launch(network_width, network_height)

    def close(self) -> None:
        """Unload them; the GPU's context must be current."""
        self._preprocess.clear()
        self._module = self._mask = None

    def preprocess(self, pixel_format: PixelFormat, params: PreprocessParams, stream: Any) -> None:
        """Frame to network input."""
        _launch(self._preprocess[pixel_format], self._preprocess_launch, params, stream)

    def mask(self, params: MaskParams, stream: Any) -> None:
        """Probability to mask and area."""
        _launch(self._mask, self._mask_launch, params, stream)


def _launch(function: Any, launch: Launch, params: ctypes.Structure, stream: Any) -> None:
    grid, block = launch
    with translated("launch a kernel"):
        function(np.frombuffer(bytes(params), np.uint8), grid=grid, block=block, stream=stream)
