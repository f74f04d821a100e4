from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeseg.optional import is_installed
from tests.clips import Image, NumberedImages, Videos

collect_ignore_glob = [] if is_installed("pyarrow") else ["test_*.py"]
FRAMES = 90


def bright_squares(count: int) -> list[Image]:
    """A bright square that wanders for 60 frames, goes away for 20, and comes back; beside it one that only flashes."""
    images = []
    for index in range(count):
        image = NumberedImages.draw(0, 64, 96)
        if index < 60 or index >= 80:
            image[8:40, 10 + index % 40 : 40 + index % 40] = 255
        if index == 30:
            image[50:64, 80:96] = 255
        images.append(image)
    return images


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos in groups of ten frames, a folder of three pictures, and two files that are neither."""
    import cv2

    folder = tmp_path_factory.mktemp("archive")
    group = {"preset": "ultrafast", "g": "10"}
    (folder / "a").mkdir()
    Videos.write(folder / "a" / "long.mp4", bright_squares(FRAMES), options=group)
    Videos.write(folder / "short.mkv", [NumberedImages.draw(number) for number in range(7)], options=group)
    (folder / "stills").mkdir()
    for number in (2, 10, 1):
        cv2.imwrite(str(folder / "stills" / f"{number}.png"), NumberedImages.draw(number))
    (folder / "notes.doc").write_bytes(b"words")
    (folder / ".hidden.mp4").write_bytes(b"")
    return folder


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.conftest import bright_pixel_network

    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    path.write_bytes(bright_pixel_network())
    return path


@pytest.fixture(scope="session")
def done(engine: Path, archive: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """The result for the archive in clips of twenty frames, and its folder."""
    from tests.runtime.batch.segmenting import segment

    out = tmp_path_factory.mktemp("done") / "out"
    return segment(engine, out, archive), out


@pytest.fixture
def results() -> Callable[[Path], dict[str, bytes]]:
    """Every Parquet file of a batch, by its name."""
    return lambda out: {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.parquet"))}
