"""Video as a user of OpenCV and PyAV reads, draws and writes it: what the loops of stream.py share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ENCODER = ("libx264", {"preset": "ultrafast"})


def read(clip: Path, frames: int) -> Iterator[Any]:
    """Frames of a clip by OpenCV, uint8 [H,W,3] BGR."""
    capture = cv2.VideoCapture(str(clip))
    for _ in range(frames):
        good, picture = capture.read()
        if not good:
            break
        yield picture
    capture.release()


def drawn(picture: Any, probability: Any) -> Any:
    """The mask at the frame's size, its outline and a caption on the picture."""
    height, width = picture.shape[:2]
    mask = (cv2.resize(probability, (width, height)) >= 0.5).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(picture, contours, -1, (233, 180, 86), 3, cv2.LINE_AA)
    cv2.putText(picture, f"{mask.mean():.1%}", (20, height - 20), 0, 0.8, (255, 255, 255), 1, cv2.LINE_AA)
    return picture


class Writer:
    """H.264 by PyAV: the wheel of OpenCV has no encoder for it."""

    def __init__(self, out: Path) -> None:
        import av

        self._av: Any = av
        self._container = av.open(str(out), "w")
        self._stream: Any = None

    def write(self, picture: Any) -> None:
        """Encode one BGR picture."""
        if self._stream is None:
            self._stream = self._container.add_stream(ENCODER[0], rate=25, options=dict(ENCODER[1]))
            self._stream.height, self._stream.width = picture.shape[:2]
            self._stream.pix_fmt = "yuv420p"
        self._mux(self._av.VideoFrame.from_ndarray(picture, format="bgr24"))

    def close(self) -> None:
        """Finish the file."""
        self._mux(None)
        self._container.close()

    def _mux(self, frame: Any) -> None:
        for packet in self._stream.encode(frame):
            self._container.mux(packet)


def synthetic_clip(path: Path, frames: int) -> None:
    """1280x720 H.264 at 25 fps: noise over drifting colour fields, so that the codec has work."""
    rng = np.random.default_rng(0)
    field = cv2.GaussianBlur(rng.integers(0, 256, (900, 1500, 3), np.uint8), (0, 0), 25)
    field = cv2.normalize(field, None, 20, 235, cv2.NORM_MINMAX)
    noise = rng.integers(0, 12, (720, 1280, 3), np.uint8)
    writer = Writer(path)
    for index in range(frames):
        window = field[index % 180 : index % 180 + 720, index % 220 : index % 220 + 1280]
        writer.write(np.ascontiguousarray(cv2.add(window, np.roll(noise, 7 * index, axis=1))))
    writer.close()
