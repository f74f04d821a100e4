"""A short run over every kernel and a lane, for compute-sanitizer: `sanitized_run.py STAND-IN-IMAGE [too-far]`.

With `too-far` the preprocess kernel is told of one row more than there is, which memcheck must find.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import numpy as np
from device_memory import GpuKernels, GuardedOnDevice
from mean_engine import MeanNetwork, open_mean_session

from edgeseg.runtime.cuda.cuda_engine import CudaOptions
from edgeseg.runtime.cuda.driver import CudaDevice
from edgeseg.runtime.cuda.kernels.parameters import (
    MAP_KERNEL,
    MASK_KERNEL,
    PIXEL_BYTES,
    PREPROCESS_KERNELS,
    FrameLayout,
    MapParams,
    MaskParams,
    PixelFormat,
    map_launch,
    mask_launch,
    preprocess_launch,
    preprocess_params,
)
from edgeseg.runtime.engine.inputs import PackedFrame

SIZES = ((1, 1), (7, 9), (63, 65), (480, 640), (271, 299))
NETWORKS = ((32, 32), (17, 33))
CHROMA_PLANES: dict[PixelFormat, tuple[str, ...]] = {"nv12": ("chroma",), "yuv420p": ("chroma", "chroma_v")}
"""Which keep two bytes a pair of pixels, or one."""
FRAMES = 6


def preprocess(
    kernels: GpuKernels, kind: PixelFormat, size: tuple[int, int], network: tuple[int, int], more: int
) -> None:
    """One preprocess kernel on memory that ends with the frame; `more` rows are promised and not there."""
    height, width = size
    names = CHROMA_PLANES.get(kind, ())
    pitch, chroma_pitch = width * PIXEL_BYTES[kind] + 5, (width + 1) // 2 * (3 - len(names)) + 3 if names else 0
    source = GuardedOnDevice(height * pitch - 5)
    chroma = {name: GuardedOnDevice((height + 1) // 2 * chroma_pitch - 3) for name in names}
    target, area = GuardedOnDevice(3 * network[0] * network[1]), GuardedOnDevice(4)
    layout = FrameLayout(kind, width, height + more, pitch, chroma_pitch)
    addresses = {name: plane.address for name, plane in chroma.items()}
    addresses |= {"source": source.address, "target": target.address}
    params = preprocess_params(layout, network[1], network[0], area=area.address, **addresses)
    kernels.launch(PREPROCESS_KERNELS[kind], preprocess_launch(network[1], network[0]), params)


def masks(kernels: GpuKernels, channels: int, height: int, width: int) -> None:
    """Mask and map of probabilities that end where their memory ends."""
    count = channels * height * width
    probability, area = GuardedOnDevice(4 * count), GuardedOnDevice(4)
    mask, values = GuardedOnDevice(height * width), GuardedOnDevice(count)
    params = MaskParams(probability.address, mask.address, area.address, channels, height * width, 0.5)
    kernels.launch(MASK_KERNEL, mask_launch(width, height), params)
    kernels.launch(
        MAP_KERNEL, map_launch(channels, width, height), MapParams(probability.address, values.address, count)
    )


def lane(image: Path) -> None:
    """A session with two lanes, frames of several sizes."""
    network = MeanNetwork()
    session = open_mean_session(image, network, CudaOptions(lanes=2, frame_bytes=300 * 400 * 3))
    rng = np.random.default_rng(0)
    for index in range(FRAMES):
        frame = rng.integers(0, 256, (300 - index, 399 - 2 * index, 3), dtype=np.uint8)
        session.start(PackedFrame(frame, "rgb"))
        assert np.abs(session.finish().probability - network.probability(frame)).max() <= 1 / 255
    session.close()


def main(image: Path, too_far: bool) -> None:
    """Everything once."""
    with CudaDevice() as device, contextlib.closing(GpuKernels(device.traits.architecture)) as kernels:
        if too_far:
            preprocess(kernels, "bgr24", (480, 640), (32, 32), more=1)
            return
        for kind in PREPROCESS_KERNELS:
            for size in SIZES:
                for network in NETWORKS:
                    preprocess(kernels, kind, size, network, more=0)
        for shape in ((1, 32, 32), (1, 7, 9), (3, 17, 33)):
            masks(kernels, *shape)
        lane(image)


if __name__ == "__main__":
    main(Path(sys.argv[1]), too_far="too-far" in sys.argv[2:])
    print("sanitized run: done")
