"""A data set of blobs and a recipe small enough to train in a second."""

from pathlib import Path

import numpy as np
import pytest

from edgeseg.export.torch.onnx_from_run import export_run
from edgeseg.images import write_png
from edgeseg.train.recipe import Recipe, read_recipe
from edgeseg.train.training import train

TINY_SETTINGS = (
    "model.height=32",
    "model.width=32",
    "model.base_width=4",
    "model.depth=2",
    "training.epochs=3",
    "training.batch_size=4",
    "training.precision=32-true",
)


def write_blobs(root: Path, counts: dict[str, int]) -> Path:
    """Bright ellipses on a darker, noisy ground."""
    rng = np.random.default_rng(11)
    rows, columns = np.mgrid[:48, :40]
    for split, count in counts.items():
        for index in range(count):
            centre, radius = rng.uniform(12, 30, 2), rng.uniform(5, 12, 2)
            inside = ((rows - centre[0]) / radius[0]) ** 2 + ((columns - centre[1]) / radius[1]) ** 2 < 1
            image = rng.integers(30, 90, (48, 40, 3)) + inside[..., None] * np.array([120, 60, 40])
            write_png(root / split / "images" / f"{split}{index}.png", image.astype(np.uint8))
            write_png(root / split / "masks" / f"{split}{index}.png", inside.astype(np.uint8) * 255)
    return root


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blobs(tmp_path_factory.mktemp("blobs"), {"train": 10, "validation": 4, "test": 12})


@pytest.fixture(scope="session")
def exported(blobs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A short training and its graph."""
    folder = tmp_path_factory.mktemp("exported")
    train(blobs, folder / "run", read_recipe(None, (*TINY_SETTINGS, "training.epochs=2")))
    export_run(folder / "run", folder / "model.onnx")
    return folder / "run", folder / "model.onnx"


@pytest.fixture
def tiny_recipe() -> Recipe:
    return read_recipe(None, TINY_SETTINGS)


def settings_of(recipe: Recipe, **training: object) -> Recipe:
    """A recipe with other values of `[training]`."""
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=training)})
