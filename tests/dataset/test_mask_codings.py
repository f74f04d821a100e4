"""The meaning of a set's masks is read from all of them; every reader refuses what is unclear."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from edgeseg.dataset import load_pairs
from edgeseg.errors import BadInputError
from edgeseg.inspection import inspect_dataset

Save = Callable[[Path, np.ndarray], None]


def discs(root: Path, save: Save, orientation: int = 1, size: tuple[int, int] = (96, 96), count: int = 4) -> list[int]:
    """Discs in the upper half; gives how many pixels each has."""
    areas = []
    height, width = size
    for index in range(count):
        rng = np.random.default_rng(index)
        mask = np.zeros(size, np.uint8)
        centre = int(rng.integers(width // 4, 3 * width // 4)), int(rng.integers(height // 8, height // 3))
        cv2.circle(mask, centre, int(rng.integers(height // 10, height // 5)), 1, -1)
        frame = rng.integers(40, 140, (*size, 3), dtype=np.uint8)
        frame[mask > 0] = (230, 90, 80)
        for part in ("images", "masks"):
            (root / part).mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        if orientation != 1:
            exif[0x0112] = orientation
        Image.fromarray(frame).save(root / "images" / f"p{index}.jpg", quality=95, exif=exif)
        save(root / "masks" / f"p{index}.png", mask)
        areas.append(int(np.count_nonzero(mask)))
    return areas


def as_grey(values: dict[int, int]) -> Save:
    return lambda path, mask: Image.fromarray(np.vectorize(values.get)(mask).astype(np.uint8)).save(path)


def with_labels(extra: dict[int, slice], dtype: type = np.uint8) -> Save:
    def save(path: Path, mask: np.ndarray) -> None:
        labels = mask.astype(dtype)
        for value, rows in extra.items():
            labels[rows] = value
        Image.fromarray(labels).save(path)

    return save


def with_border(path: Path, mask: np.ndarray) -> None:
    """A ring about the disc that is to be ignored."""
    ring = cv2.dilate(mask, np.ones((5, 5), np.uint8)) - mask
    labels = mask.copy()
    labels[ring > 0] = 255
    Image.fromarray(labels).save(path)


def refused(root: Path) -> str:
    """Give what `data inspect` finds; loading refuses it too."""
    (problem, *_) = inspect_dataset(root).problems
    with pytest.raises(BadInputError) as caught:
        load_pairs(root)
    assert problem in str(caught.value)
    return problem


@pytest.mark.parametrize("value", [1, 100, 255])
def test_two_values_are_background_and_polyp(tmp_path: Path, value: int) -> None:
    areas = discs(tmp_path, as_grey({0: 0, 1: value}))
    assert inspect_dataset(tmp_path).problems == ()
    assert [int((pair.read()[1] > 0).sum()) for pair in load_pairs(tmp_path)] == areas


def test_ignored_pixels_are_neither_polyp_nor_background(tmp_path: Path) -> None:
    areas = discs(tmp_path, with_border)
    report = inspect_dataset(tmp_path)
    assert report.problems == () and "255 is ignored" in report.masks
    assert 0.01 < report.ignored_share < 0.05
    for pair, area in zip(load_pairs(tmp_path), areas, strict=True):
        labelled = pair.read_labelled()
        assert int((labelled.mask > 0).sum()) == area
        assert labelled.ignored is not None
        everything = np.full((96, 96), 255, np.uint8)
        assert int((labelled.judged(everything) > 0).sum()) == 96 * 96 - int(labelled.ignored.sum())


def test_labels_of_several_classes_are_such_a_set_also_where_a_mask_holds_one(tmp_path: Path) -> None:
    discs(tmp_path, with_labels({2: slice(-12, None)}))
    discs(tmp_path / "more", as_grey({0: 0, 1: 1}), count=1)
    (tmp_path / "more/images/p0.jpg").rename(tmp_path / "images/q.jpg")
    (tmp_path / "more/masks/p0.png").rename(tmp_path / "masks/q.png")
    (tmp_path / "images/p0.jpg").unlink()
    (tmp_path / "masks/p0.png").unlink()
    report = inspect_dataset(tmp_path)
    assert report.problems == () and report.classes == 2
    with pytest.raises(BadInputError, match="several classes"):
        load_pairs(tmp_path)


def test_another_split_tells_that_a_1_is_one_label_of_several(tmp_path: Path) -> None:
    discs(tmp_path / "train", with_labels({2: slice(-12, None)}))
    discs(tmp_path / "test", as_grey({0: 0, 1: 1}), count=2)
    with pytest.raises(BadInputError, match="several classes"):
        load_pairs(tmp_path, "test")


def test_two_codings_in_one_set_are_refused(tmp_path: Path) -> None:
    discs(tmp_path, as_grey({0: 0, 1: 1}))
    Image.fromarray(np.full((96, 96), 255, np.uint8) * (np.arange(96) < 20)).save(tmp_path / "masks/p3.png")
    assert "two codings" in refused(tmp_path)


def test_a_0_1_mask_among_soft_ones_is_refused(tmp_path: Path) -> None:
    soft: Save = lambda path, mask: Image.fromarray(cv2.GaussianBlur(mask * 255, (0, 0), 2)).save(path)  # noqa: E731
    discs(tmp_path, soft)
    assert inspect_dataset(tmp_path).problems == ()
    Image.fromarray((np.indices((96, 96))[0] < 20).astype(np.uint8)).save(tmp_path / "masks/p2.png")
    assert "p2.png" in refused(tmp_path)


def test_a_few_ones_beside_many_255_are_not_taken_for_the_polyp(tmp_path: Path) -> None:
    discs(tmp_path, with_labels({255: slice(40, 80)}))
    for path in (tmp_path / "masks").iterdir():
        mask = np.asarray(Image.open(path)).copy()
        mask[mask == 1] = 255
        mask[0, :3] = 1
        Image.fromarray(mask).save(path)
    assert "which mark hardly anything" in refused(tmp_path)


def test_exchanged_ground_and_polyp_are_refused(tmp_path: Path) -> None:
    discs(tmp_path, as_grey({0: 255, 1: 0}))
    assert "exchanged" in refused(tmp_path)


def test_ones_alone_are_refused(tmp_path: Path) -> None:
    discs(tmp_path, as_grey({0: 1, 1: 1}))
    assert "every mask holds 1 alone" in refused(tmp_path)


@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8])
def test_a_turned_picture_with_a_mask_that_is_not_is_refused(tmp_path: Path, orientation: int) -> None:
    discs(tmp_path, as_grey({0: 0, 1: 255}), orientation)
    assert "EXIF orientation" in refused(tmp_path)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_the_size_of_a_mask_tells_on_which_picture_it_was_drawn(tmp_path: Path, orientation: int) -> None:
    areas = discs(tmp_path / "stored", as_grey({0: 0, 1: 255}), orientation, (80, 112))
    for pair, area in zip(load_pairs(tmp_path / "stored"), areas, strict=True):
        frame, mask = pair.read()
        assert mask.shape == (80, 112) and int((mask > 0).sum()) == area
        assert np.mean((frame[..., 0] > 180) != (mask > 0)) < 0.03
