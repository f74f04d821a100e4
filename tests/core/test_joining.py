from pathlib import Path

import numpy as np
import pytest

from edgeseg.cli import run
from edgeseg.dataset import hash_pairs, load_images, load_pairs
from edgeseg.errors import BadInputError, UsageError
from edgeseg.images import write_png
from edgeseg.inspection import inspect_dataset
from edgeseg.joining import join_datasets


def _dataset(root: Path, first: int, splits: tuple[str, ...] = ("train", "validation", "test")) -> Path:
    """Three pairs a split; the names are the same in every data set."""
    for place, split in enumerate(splits):
        for index in range(3):
            rng = np.random.default_rng(first + 3 * place + index)
            write_png(root / split / "images" / f"{split}-{index}.png", rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            write_png(root / split / "masks" / f"{split}-{index}.png", np.full((8, 8), 255, np.uint8))
    return root


def test_every_pair_stays_in_its_split(tmp_path: Path) -> None:
    sources = [_dataset(tmp_path / "a", 0), _dataset(tmp_path / "b", 100)]
    result = join_datasets(sources, tmp_path / "both")
    assert result.pictures == {split: {"a": 3, "b": 3} for split in ("train", "validation", "test")}
    for split in result.pictures:
        contents = {path.read_bytes() for path in load_images(tmp_path / "both", split)}
        assert contents == {path.read_bytes() for source in sources for path in load_images(source, split)}
        assert len(load_pairs(tmp_path / "both", split)) == 6
    report = inspect_dataset(tmp_path / "both")
    assert report.problems == ()
    everything = [pair for source in sources for split in result.pictures for pair in load_pairs(source, split)]
    assert result.data_sha256 == hash_pairs(everything) == report.data_sha256


def test_a_missing_split_is_missing_from_that_one_alone(tmp_path: Path) -> None:
    sources = [_dataset(tmp_path / "a", 0), _dataset(tmp_path / "b", 100, ("train", "test"))]
    assert join_datasets(sources, tmp_path / "both").pictures["validation"] == {"a": 3}


def test_masks_of_labels_are_joined_too(tmp_path: Path) -> None:
    sources = [_dataset(tmp_path / "a", 0), _dataset(tmp_path / "b", 100)]
    for source in sources:
        for path in source.glob("*/masks/*.png"):
            write_png(path, np.repeat(np.uint8([0, 1, 2, 2]), 16).reshape(8, 8))
    join_datasets(sources, tmp_path / "both")
    assert len(load_pairs(tmp_path / "both", "train", classes=3)) == 6


def test_what_cannot_be_joined(tmp_path: Path) -> None:
    one, other = _dataset(tmp_path / "a", 0), _dataset(tmp_path / "x" / "a", 100)
    with pytest.raises(UsageError, match="names of their folders"):
        join_datasets([one, other], tmp_path / "both")
    with pytest.raises(UsageError, match="names of their folders"):
        join_datasets([one], tmp_path / "both")
    with pytest.raises(BadInputError, match="has no splits"):
        join_datasets([one, one / "train"], tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, first in (("a", 0), ("b", 100)):
        _dataset(tmp_path / name, first)
    monkeypatch.chdir(tmp_path)
    assert run(["data", "join", "a", "b", "--out", "both"]) == 0
    assert "train: 3 a, 3 b" in capsys.readouterr().out
    assert run(["data", "join", "a", "a/train", "--out", "other"]) == 5
    assert "edgeseg data split a/train" in capsys.readouterr().err
