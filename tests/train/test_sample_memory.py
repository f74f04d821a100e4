import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from edgeseg.dataset import load_pairs
from edgeseg.errors import BadInputError
from edgeseg.train.recipe import Recipe
from edgeseg.train.sample_memory import Storage, available_bytes, choose_storage, sample_bytes
from edgeseg.train.samples import load_samples
from edgeseg.train.training import train

GIB = 2**30


def fake_groups(root: Path, cgroup: str, files: dict[str, str]) -> tuple[Path, Path]:
    """A /proc/self/cgroup and a /sys/fs/cgroup as the kernel writes them."""
    proc, groups = root / "proc", root / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text(cgroup)
    for name, text in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(text)
    return proc, groups


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        ("0::/\n", {}, 8 * GIB),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/b/memory.current": "5\n"}, 8 * GIB),
        ("0::/a/b\n", {"a/b/memory.max": f"{2 * GIB}\n", "a/b/memory.current": f"{GIB}\n"}, GIB),
        (  # a parent's limit holds for its children
            "0::/a/b\n",
            {
                "a/b/memory.max": "max",
                "a/b/memory.current": "1",
                "a/memory.max": f"{3 * GIB}",
                "a/memory.current": f"{GIB}",
            },
            2 * GIB,
        ),
        ("0::/host/path\n", {"memory.max": f"{GIB}\n", "memory.current": "0\n"}, GIB),  # inside a container
        (
            "5:cpu,memory:/x\n1:name=systemd:/x\n",
            {"memory/x/memory.limit_in_bytes": f"{4 * GIB}", "memory/x/memory.usage_in_bytes": f"{GIB}"},
            3 * GIB,
        ),
        ("0::/\n", {"memory.max": "100", "memory.current": "200"}, 0),
    ],
)
def test_the_smallest_limit_counts(
    tmp_path: Path, cgroup: str, files: dict[str, str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=8 * GIB))
    assert available_bytes(*fake_groups(tmp_path, cgroup, files)) == expected


def test_without_control_groups_the_machine_counts(tmp_path: Path) -> None:
    assert 0 < available_bytes(tmp_path / "none", tmp_path / "none") <= psutil.virtual_memory().total


def test_samples_take_what_was_estimated(blobs: Path) -> None:
    samples = load_samples(load_pairs(blobs, "train"), 64, 96)
    assert samples.images.numel() + samples.masks.numel() == sample_bytes(10, 64, 96)


def test_too_little_memory_takes_a_file_that_has_no_name(tmp_path: Path) -> None:
    lines: list[str] = []
    assert not choose_storage(GIB, 2 * GIB, tmp_path, lines.append).mapped
    assert lines == []
    storage = choose_storage(GIB + 2**20, 2 * GIB, tmp_path, lines.append)
    assert storage.mapped
    assert "1.0 GiB of decoded pictures are more than half of the 2.0 GiB of free memory" in lines[0]
    array = storage.allocate((3, 5))
    array[:] = 7
    assert isinstance(array, np.memmap)
    assert array.sum() == 105
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_refused_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInputError, match="neither into memory nor on the disk"):
        choose_storage(2**62, GIB, tmp_path)

    def no_room(descriptor: int, offset: int, length: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(BadInputError, match="no room") as caught:
        Storage(True, tmp_path).allocate((10, 10))
    assert caught.value.found == os.strerror(28)
    assert list(tmp_path.iterdir()) == []


def test_training_from_the_file_equals_training_from_memory(
    blobs: Path, tmp_path: Path, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe.model_copy(update={"training": tiny_recipe.training.model_copy(update={"epochs": 1})})
    negatives = blobs / "test" / "images"
    train(blobs, tmp_path / "memory", recipe, negatives=negatives)
    monkeypatch.setattr("edgeseg.train.training.available_bytes", lambda: 100)
    lines: list[str] = []
    train(blobs, tmp_path / "file", recipe, negatives=negatives, say=lines.append)
    assert len(lines) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"memory", "file"}
    assert (tmp_path / "memory" / "best.pt").stat().st_size == (tmp_path / "file" / "best.pt").stat().st_size
    first = (tmp_path / "memory" / "history.csv").read_text().splitlines()[1].split(",")
    second = (tmp_path / "file" / "history.csv").read_text().splitlines()[1].split(",")
    assert first[:5] == second[:5]
