"""One tiny RUN, trained once for all tests of this folder."""

from pathlib import Path

import numpy as np
import pytest

from edgeseg.images import write_png

SETTINGS = (
    "model.height=32",
    "model.width=32",
    "model.base_width=4",
    "model.depth=2",
    "training.epochs=2",
    "training.batch_size=4",
)


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright squares on noise, in three splits."""
    root = tmp_path_factory.mktemp("squares")
    rng = np.random.default_rng(3)
    for split, count in (("train", 8), ("validation", 4), ("test", 8)):
        for index in range(count):
            image, mask = rng.integers(0, 90, (40, 40, 3), dtype=np.uint8), np.zeros((40, 40), np.uint8)
            top, left = rng.integers(4, 20, 2)
            image[top : top + 16, left : left + 16] += 120
            mask[top : top + 16, left : left + 16] = 255
            write_png(root / split / "images" / f"{split}{index}.png", image)
            write_png(root / split / "masks" / f"{split}{index}.png", mask)
    return root


@pytest.fixture(scope="session")
def tiny_run(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from edgeseg.train.recipe import read_recipe
    from edgeseg.train.training import train

    run = tmp_path_factory.mktemp("runs") / "tiny"
    train(squares, run, read_recipe(None, SETTINGS))
    return run
