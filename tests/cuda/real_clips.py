"""100 real frames, and the settings of the driver double under which they must give the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

DATA = Path(os.environ.get("EDGESEG_DATA", Path(__file__).parents[3] / "shared" / "data"))
CLIPS = {
    "colon_polyp_560x480_25fps.mp4": 40,
    "colon_normal_420x288_25fps.mp4": 40,
    "laparoscopy_1280x720_25fps.mp4": 20,
}
SETTINGS = {
    "discrete": {},
    "integrated": {"integrated": 1},
    "discrete, operations late at random": {"delay_us": 3000, "seed": 7},
    "integrated, operations late at random": {"integrated": 1, "delay_us": 3000, "seed": 8},
    "discrete, device pages locked": {"lock": 1},
}


def real_frames() -> Iterator[av.VideoFrame]:
    """As decoded, of three sizes, every third one of each clip's beginning."""
    folder = DATA / "video"
    if not folder.is_dir():
        pytest.skip(f"no clips in {folder}; set EDGESEG_DATA")
    for name, count in CLIPS.items():
        with av.open(str(folder / name)) as container:
            for index, frame in enumerate(container.decode(video=0)):
                if index >= 3 * count:
                    break
                if index % 3 == 0:
                    yield frame
