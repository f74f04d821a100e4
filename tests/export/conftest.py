"""One tiny RUN, trained once for all tests of this folder; foreign networks, saved and imported."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgeseg.export.foreign import ImportResult, import_onnx
from edgeseg.export.foreign_options import ImportOptions
from edgeseg.images import write_png

Import = Callable[..., tuple[Path, ImportResult]]

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


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    """Save a network, import it; gives the new file and what was said."""

    def run(proto: onnx.ModelProto, data: Path | None = None, **options: Any) -> tuple[Path, ImportResult]:
        source, out = tmp_path / "theirs" / "net.onnx", tmp_path / "ours" / "model.onnx"
        source.parent.mkdir(exist_ok=True)
        source.write_bytes(proto.SerializeToString())
        return out, import_onnx(source, out, ImportOptions(**options), data)

    return run
