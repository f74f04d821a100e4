from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("EDGESEG_DATA", Path(__file__).parents[4].parent / "shared" / "data"))


@pytest.fixture(scope="session")
def colon_clips() -> Path:
    folder = DATA / "video"
    if not (folder / "colon_polyp_560x480_25fps.mp4").is_file():
        pytest.skip(f"no real clips in {folder}; EDGESEG_DATA names the data folder")
    return folder
