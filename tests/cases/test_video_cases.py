"""Video files and DICOM: every picture has its mask, at the right place and time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from edgeseg.images import read_mask

pytestmark = pytest.mark.long
Case = Callable[[str], Path]
Command = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def masks_of(case: Case, command: Command, red_engine: Path, tmp_path: Path) -> Callable[[str], list[np.ndarray]]:
    def run(name: str) -> list[np.ndarray]:
        code, _, said = command("run", red_engine, case(name), "--masks", tmp_path / "masks")
        assert code == 0, said
        return [read_mask(path) for path in sorted((tmp_path / "masks").iterdir())]

    return run


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Left, right, top and bottom of what is marked."""
    rows, columns = np.flatnonzero((mask > 0).any(axis=1)), np.flatnonzero((mask > 0).any(axis=0))
    return int(columns[0]), int(columns[-1]), int(rows[0]), int(rows[-1])


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("late-stream-flv/aud_late.flv", 450),
        ("interlaced-file/inter.mp4", 50),
        ("dicom/jpeg.dcm", 5),
        ("dicom/h264.dcm", 50),
    ],
)
def test_every_frame_has_a_mask(masks_of: Callable[[str], list[np.ndarray]], name: str, count: int) -> None:
    if name.endswith(".dcm"):
        pytest.importorskip("pydicom")
    masks = masks_of(name)
    assert len(masks) == count
    assert all(mask.any() for mask in masks)


@pytest.mark.parametrize(
    ("name", "box"),
    [("hflip.mp4", (100, 139, 10, 39)), ("vflip.mp4", (20, 59, 80, 109))],
)
def test_mirrors(masks_of: Callable[[str], list[np.ndarray]], name: str, box: tuple[int, int, int, int]) -> None:
    found = _box(masks_of(f"mirrored-matrix/{name}")[0])
    assert np.abs(np.subtract(found, box)).max() <= 1


@pytest.mark.parametrize(
    ("name", "frames", "lost", "damaged"),
    [("g_mjpeg.avi", 29, 1, 0), ("g_hevc.mkv", 29, 1, 6), ("noise.avi", 25, 0, 0)],
)
def test_a_packet_of_noise(
    case: Case, command: Command, red_engine: Path, name: str, frames: int, lost: int, damaged: int
) -> None:
    """The hole in noise.avi makes sense as coded data: neither FFmpeg nor libjpeg sees it."""
    code, report, _ = command("run", red_engine, case(f"bad-packet/{name}"))
    assert code == 0
    assert report["frames"] == frames
    assert (report["lost_frames"], report["damaged_frames"] >= damaged) == (lost, True)


@pytest.mark.parametrize(("name", "seconds"), [("start26h.ts", 2), ("jump3600.ts", 4), ("jump72000.ts", 4)])
def test_a_clock_that_jumps(
    case: Case, command: Command, red_engine: Path, tmp_path: Path, name: str, seconds: int
) -> None:
    out = tmp_path / "o.mp4"
    assert command("run", red_engine, case(f"timestamp-jump/{name}"), "--out", out)[0] == 0
    with av.open(str(out)) as container:
        assert container.duration is not None
        assert abs(container.duration / av.time_base - seconds) < 0.2
