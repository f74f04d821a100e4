from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.dataset import hash_pairs, load_pairs
from edgeseg.dataset.layout import UNSPLIT
from edgeseg.errors import BadInputError
from edgeseg.images import encode_jpeg, mask_problem, write_png
from edgeseg.inspection import DatasetReport, inspect_dataset


def _add(folder: Path, name: str, seed: int, size: tuple[int, int] = (24, 32), marked_rows: int = 6) -> None:
    frame = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    mask = np.zeros(size, np.uint8)
    mask[:marked_rows] = 255
    write_png(folder / "images" / f"{name}.png", frame)
    write_png(folder / "masks" / f"{name}.png", mask)


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    for number, split in enumerate(("train", "validation", "test")):
        for index in range(3):
            _add(tmp_path / split, f"{split}{index}", 10 * number + index, (24 + 2 * index, 32))
    return tmp_path


def test_a_sound_data_set_is_described(sound: Path) -> None:
    _add(sound / "train", "empty", 99, marked_rows=0)
    report = inspect_dataset(sound)
    assert report.problems == ()
    train = report.splits[0]
    assert (train.name, train.images, train.masks, train.pairs, train.empty_masks) == ("train", 4, 4, 4, 1)
    assert train.height is not None and train.width is not None
    assert (train.height.minimum, train.height.median, train.height.maximum) == (24, 25, 28)
    assert (train.width.minimum, train.width.maximum) == (32, 32)
    assert train.foreground_share == pytest.approx((6 / 24 + 6 / 26 + 6 / 28 + 0) / 4)
    assert train.data_sha256 == hash_pairs(load_pairs(sound, "train"))
    everything = [pair for split in ("train", "validation", "test") for pair in load_pairs(sound, split)]
    assert report.data_sha256 == hash_pairs(everything)
    assert DatasetReport.from_json(report.to_json()) == report


def test_an_unsplit_data_set_is_one_split(tmp_path: Path) -> None:
    _add(tmp_path, "a", 1)
    assert [split.name for split in inspect_dataset(tmp_path).splits] == [UNSPLIT]


def test_every_problem_is_named_in_one_pass(sound: Path) -> None:
    train, test = sound / "train", sound / "test"
    (train / "masks" / "train0.png").unlink()
    (train / "images" / "train1.png").unlink()
    write_png(train / "masks" / "train2.png", np.zeros((5, 7), np.uint8))
    cut = encode_jpeg(np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    (test / "images" / "test0.png").write_bytes(cut[:-200])
    (test / "masks" / "test1.png").write_bytes(b"junk")
    grey = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (28, 1))
    cv2.imwrite(str(test / "masks" / "test2.png"), grey)
    report = inspect_dataset(sound)
    expected = [
        "train: image train0.png has no mask",
        "train: mask train1.png has no image",
        "train: image train2.png and its mask differ in size: 32x28 and 7x5",
        "test: image test0.png cannot be used: it is cut off",
        "test: mask test1.png cannot be used: it is no image",
        "test: mask test2.png is no mask",
    ]
    assert len(report.problems) == len(expected)
    for start in expected:
        assert [problem for problem in report.problems if problem.startswith(start)], start
    assert all(str(sound) not in problem for problem in report.problems)


def test_leaks_and_duplicates_are_told_apart(sound: Path) -> None:
    first = cv2.imread(str(sound / "train" / "images" / "train0.png"))
    cv2.imwrite(str(sound / "test" / "images" / "copy.bmp"), first)  # other bytes, same pixels
    write_png(sound / "test" / "masks" / "copy.png", np.zeros(first.shape[:2], np.uint8))
    _add(sound / "validation", "again", 10, (24, 32))
    report = inspect_dataset(sound)
    assert report.problems == ("leak: train/train0.png and test/copy.bmp are one picture in several splits",)
    assert report.notes == ("validation: validation/again.png and validation/validation0.png are one picture",)


def test_missing_parts_and_shared_names_are_problems(tmp_path: Path) -> None:
    _add(tmp_path / "train", "a", 1)
    write_png(tmp_path / "train" / "images" / "a.bmp", np.zeros((24, 32, 3), np.uint8))
    (tmp_path / "test" / "images").mkdir(parents=True)
    assert set(inspect_dataset(tmp_path).problems) == {
        "train: a.bmp and a.png in images share one name",
        "test: the folder images holds no images",
        "test: there is no folder masks",
    }


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "none"):
        with pytest.raises(BadInputError):
            inspect_dataset(root)


@settings(max_examples=40, deadline=None)
@given(
    centre=st.tuples(st.integers(10, 90), st.integers(10, 90)),
    axes=st.tuples(st.integers(5, 60), st.integers(5, 60)),
    quality=st.integers(60, 100),
)
def test_jpeg_smear_is_still_a_mask(centre: tuple[int, int], axes: tuple[int, int], quality: int) -> None:
    mask = cv2.ellipse(np.zeros((200, 200), np.uint8), centre, axes, 0, 0, 360, 255, -1)
    smeared = cv2.imdecode(cv2.imencode(".jpg", mask, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)
    assert mask_problem(smeared) is None


@settings(max_examples=60, deadline=None)
@given(levels=st.sets(st.integers(0, 12).map(lambda step: step * 20), min_size=1, max_size=6))
def test_levels_decide_what_a_mask_is(levels: set[int]) -> None:
    """Equal stripes of levels 20 apart: fit are one level of 0, 128 and above, or two with 127 between them."""
    ordered = sorted(levels)
    grey = np.repeat(np.array(ordered, np.uint8), 50)[None].repeat(40, axis=0)
    across = len(ordered) == 2 and ordered[0] <= 127 < ordered[1]
    if len(ordered) == 1:
        assert mask_problem(grey) is None or 0 < ordered[0] <= 127
    else:
        assert (mask_problem(grey) is None) == across


def test_class_indices_are_not_taken_for_an_empty_mask() -> None:
    indices = np.zeros((20, 20), np.uint8)
    indices[5:9, 5:9] = 1
    problem = mask_problem(indices)
    assert problem is not None and "holds only 0 and 1" in problem
    assert mask_problem(np.zeros((20, 20), np.uint8)) is None
