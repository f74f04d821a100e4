"""Clips of a bright disc that wanders over a dark wall, and networks that see it well, late, or now and then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeseg.artifacts import ClipVerdict
from edgeseg.proof.clips.clip_file import read_clips
from edgeseg.proof.clips.clip_verdict import ClipMaterial, prove_clips
from edgeseg.proof.mapped_engine import MappedEngine
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.outcomes import Segmented
from tests.clips import Image, Videos
from tests.proof.verdict.answers import network, right

HEIGHT, WIDTH = 96, 128
FRAMES, SHOWN = 100, (20, 79)
"""The disc is in view from the first to the last frame of `SHOWN`, both included."""
OTHER_FRAMES = (30, 47)
"""The frames of the other clip in which a reflection looks like a polyp."""


def disc_centre(index: int) -> tuple[float, float]:
    return 48 + 24 * np.sin(index / 9), 64 + 36 * np.cos(index / 13)


def picture(index: int, has_disc: bool, radius: float = 14) -> Image:
    """A wall that moves, so that no two frames are alike, and maybe the disc."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    wall = 40 + 12 * np.sin(rows / 7 + index / 5) + 8 * np.cos(columns / 9 - index / 7)
    y, x = disc_centre(index)
    if has_disc:
        wall = np.where((rows - y) ** 2 + (columns - x) ** 2 < radius**2, 200.0, wall)
    return np.repeat(wall[..., np.newaxis], 3, axis=2).astype(np.uint8)


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip with the disc, one without a lesion, and the file that says so."""
    folder = tmp_path_factory.mktemp("clips")
    Videos.write(folder / "polyp.mp4", [picture(index, SHOWN[0] <= index <= SHOWN[1]) for index in range(FRAMES)])
    first, last = OTHER_FRAMES
    Videos.write(folder / "normal.mp4", [picture(index, first <= index <= last, 8) for index in range(FRAMES)])
    (folder / "clips.toml").write_text(
        f'[[clips]]\npath = "polyp.mp4"\nshown = [[{SHOWN[0]}, {SHOWN[1]}]]\n\n'
        '[[clips]]\npath = "normal.mp4"\npolyp = false\n'
    )
    return folder


Prove = Callable[..., ClipVerdict]


@pytest.fixture
def prove(clip_folder: Path) -> Prove:
    """Prove an engine against a network that is right, or another."""

    def proof(engine: Engine, reference: Engine | None = None, file: Path | None = None) -> ClipVerdict:
        material = ClipMaterial(read_clips(file or clip_folder / "clips.toml"))
        return prove_clips(engine, reference or network(right, "b"), material).verdict

    return proof


class HeldEngine(MappedEngine):
    """Gives the result of every n-th frame n times."""

    def __init__(self, engine: Engine, frames: int) -> None:
        super().__init__(engine)
        self._frames, self._count = frames, 0

    def mapped(self, segmented: Segmented) -> Segmented:
        if self._count % self._frames == 0:
            self._kept = segmented.probability
        self._count += 1
        return with_probability(segmented, self._kept)


class LateEngine(MappedEngine):
    """Gives the result of the frame some frames before."""

    def __init__(self, engine: Engine, frames: int) -> None:
        super().__init__(engine)
        self._queue: list[np.ndarray] = []
        self._frames = frames

    def mapped(self, segmented: Segmented) -> Segmented:
        self._queue.append(segmented.probability)
        if len(self._queue) <= self._frames:
            return with_probability(segmented, np.zeros_like(segmented.probability))
        return with_probability(segmented, self._queue.pop(0))


class DroppingEngine(MappedEngine):
    """Marks nothing in every n-th frame."""

    def __init__(self, engine: Engine, every: int) -> None:
        super().__init__(engine)
        self._every, self._count = every, 0

    def mapped(self, segmented: Segmented) -> Segmented:
        self._count += 1
        dropped = self._count % self._every == 0
        return with_probability(segmented, segmented.probability * np.float32(not dropped))


def with_probability(segmented: Segmented, probability: np.ndarray) -> Segmented:
    return Segmented(segmented.sequence, probability, segmented.infer_ms)
