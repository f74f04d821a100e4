from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.frames import Mask
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.engine.session import FrameBatch, ProbabilityBatch, SessionInfo
from edgeseg.runtime.file.outputs import Outputs
from edgeseg.runtime.file.pipeline import StreamResult, run_stream
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import ClipTiming, SourceFrame
from edgeseg.runtime.video.video_files import open_source
from edgeseg.specs import Crop, ModelSpec, PreprocessSpec


class BrightSession:
    """Marks bright pixels; `before` runs ahead of each inference with its number."""

    def __init__(
        self, size: int = 32, crop: Crop | None = None, before: Callable[[int], object] = lambda count: None
    ) -> None:
        model = ModelSpec(architecture="bright", height=size, width=size)
        self.info = SessionInfo(model, PreprocessSpec(crop=crop), "onnxruntime", "fp32", "0" * 64)
        self.count = 0
        self._before = before

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        self._before(self.count)
        self.count += 1
        return (frames.mean(axis=3)[:, None] / 255).astype(np.float32)

    def close(self) -> None: ...


class RecordingSink:
    """Keeps what it is given; `before` runs ahead of each write with the frame's index."""

    def __init__(self, before: Callable[[int], object] = lambda index: None) -> None:
        self.kept: list[tuple[SourceFrame, Mask]] = []
        self._before = before

    def write(self, frame: SourceFrame, mask: Mask) -> None:
        self._before(frame.index)
        self.kept.append((frame, mask))


class CountingSource:
    """Endless black frames; tells how many were asked for."""

    def __init__(self) -> None:
        self.given = 0
        self.frame_count = self.sound = None
        self.lost_frames = 0
        self.timing = ClipTiming(Fraction(1, 1000), Fraction(25))

    def frames(self) -> Iterator[SourceFrame]:
        while True:
            image = Picture.of_bgr(np.zeros((8, 8, 3), np.uint8))
            self.given += 1
            yield SourceFrame(self.given - 1, 0, 0, self.given, Fraction(1, 1000), image, stem=f"f{self.given - 1}")

    def __enter__(self) -> CountingSource:
        return self

    def __exit__(self, *_: object) -> None: ...


def fail_at(number: int, error: BaseException) -> Callable[[int], None]:
    def fail(count: int) -> None:
        if count == number:
            raise error

    return fail


def run_files(source: Path, outputs: Outputs, session: Any = None) -> StreamResult:
    session = session or BrightSession()
    with open_source(source) as frames, outputs.open(frames.timing, frames.sound) as sinks:
        return run_stream(engine_of(session), frames, sinks)
