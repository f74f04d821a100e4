"""Pictures whose masks are known: the network marks what is brighter than 128, at its own size of 32 x 32."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from edgeseg.dataset import Pair, load_pairs
from edgeseg.images import write_png
from edgeseg.runtime.engine.session import Session
from edgeseg.runtime.opener.engine_from_file import open_engine

SIZE_PX = 32
PIXELS = SIZE_PX * SIZE_PX


def grey(levels: dict[int, tuple[slice, slice]]) -> np.ndarray:
    """A dark picture with rectangles of other grey levels, uint8 [32,32,3]."""
    picture = np.full((SIZE_PX, SIZE_PX, 3), 20, np.uint8)
    for level, window in levels.items():
        picture[window] = level
    return picture


@pytest.fixture
def bright_session(tiny_onnx: Path) -> Iterator[Session]:
    session = open_engine(tiny_onnx)
    yield session
    session.close()


@pytest.fixture
def folder_of(tmp_path: Path) -> Callable[[Sequence[int]], Path]:
    """A folder of pictures of which the i-th has so many bright pixels, in one row after the other."""

    def make(areas: Sequence[int]) -> Path:
        for index, area in enumerate(areas):
            picture = np.full((PIXELS, 3), 20, np.uint8)
            picture[:area] = 240
            write_png(tmp_path / "pictures" / f"p{index:02d}.png", picture.reshape(SIZE_PX, SIZE_PX, 3))
        return tmp_path / "pictures"

    return make


@pytest.fixture
def pairs_of(tmp_path: Path) -> Callable[..., list[Pair]]:
    """Images whose first rows are polyp: of image i the network sees `seen[i]` rows, `true[i]` are true."""

    def make(seen: Sequence[int], true: Sequence[int], level: int = 240) -> list[Pair]:
        for index, (bright, marked) in enumerate(zip(seen, true, strict=True)):
            mask = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
            mask[:marked] = 255
            picture = grey({level: (slice(0, bright), slice(None))})
            write_png(tmp_path / "pairs" / "images" / f"i{index:02d}.png", picture)
            write_png(tmp_path / "pairs" / "masks" / f"i{index:02d}.png", mask)
        return load_pairs(tmp_path / "pairs")

    return make
