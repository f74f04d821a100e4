from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
BITS = 8


class NumberedImages:
    """Pictures that carry a number as bars, white for 1, so that every mask of bright pixels tells its frame."""

    @staticmethod
    def draw(number: int, height: int = 64, width: int = 128) -> Image:
        """The number as uint8 [height,width,3]."""
        image = np.zeros((height, width, 3), np.uint8)
        for bit in range(BITS):
            if number >> bit & 1:
                image[:, bit * width // BITS : (bit + 1) * width // BITS] = 255
        return image

    @staticmethod
    def read(image: Image) -> int:
        """The number of a picture or of its mask; looks at the middle row only."""
        row = image[image.shape[0] // 2]
        width = row.shape[0]
        return sum(1 << bit for bit in range(BITS) if row[(2 * bit + 1) * width // (2 * BITS)].mean() > 127)


@dataclass(frozen=True)
class DecodedVideo:
    """The facts that PyAV alone finds in a file."""

    images: list[Image]
    seconds: list[Fraction]


class Videos:
    """Writes and reads video files by PyAV alone."""

    @staticmethod
    def write(
        path: Path,
        images: Sequence[Image],
        pts: Sequence[int] | None = None,
        time_base: Fraction = Fraction(1, 25),
        options: dict[str, str] | None = None,
        container_options: dict[str, str] | None = None,
        prepare: Callable[[Any], None] = lambda stream: None,
    ) -> Path:
        """Encode RGB pictures; 4:4:4 where a side is odd. `prepare` may change the stream before the first one."""
        import av

        height, width = images[0].shape[:2]
        with av.open(str(path), "w", options=container_options or {}) as container:
            stream: Any = container.add_stream("libx264", rate=25, options=options or {"preset": "ultrafast"})
            stream.width, stream.height = width, height
            stream.pix_fmt = "yuv444p" if height % 2 or width % 2 else "yuv420p"
            stream.codec_context.time_base = time_base
            prepare(stream)
            for index, image in enumerate(images):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = (index if pts is None else pts[index]), time_base
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    @staticmethod
    def read(path: Path) -> DecodedVideo:
        import av  # here: tests/gpu must do without it

        with av.open(str(path)) as container:
            frames = list(container.decode(video=0))
        images = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in frames]
        return DecodedVideo(images, [Fraction(frame.pts * frame.time_base) for frame in frames])
