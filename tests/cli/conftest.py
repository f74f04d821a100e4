from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def blob_data(numbered: type, tmp_path: Path) -> Path:
    """Pictures with bars and their masks, in three splits."""
    from edgeseg.images import write_png

    root = tmp_path / "blob-data"
    for split, first in (("train", 1), ("validation", 30), ("test", 60)):
        for number in range(first, first + 6):
            picture = numbered.draw(number, 40, 48)  # type: ignore[attr-defined]
            write_png(root / split / "images" / f"{number}.png", picture)
            write_png(root / split / "masks" / f"{number}.png", picture[:, :, 0])
    return root
