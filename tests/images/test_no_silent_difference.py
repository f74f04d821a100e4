"""Masks and images of every depth, mode, palette, size and format are read as they were written, or refused."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

sys.path.insert(0, str(Path(__file__).parent))
from written import PICTURES, PLAIN_MASKS, VOC, Pixels

from edgeseg.dataset import Pair
from edgeseg.errors import BadInputError
from edgeseg.images import read_rgb, write_png

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LONG = settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SIDES = st.tuples(st.integers(1, 33), st.integers(1, 33))
SEEDS = st.integers(0, 2**32 - 1)
SHARES = st.sampled_from([0.0, 0.02, 0.3, 0.5, 0.9, 1.0])
TURNED = {".jpg": "RGB", ".png": "RGB", ".tif": "RGB", ".webp": "RGB"}


def _marked(size: tuple[int, int], share: float, seed: int) -> Pixels:
    return np.random.default_rng(seed).random(size) < share


def check_mask(folder: Path, writer: str, size: tuple[int, int], share: float, seed: int) -> None:
    """A mask of two values is read exactly; only one that lacks a value may be refused."""
    marked = _marked(size, share, seed)
    for old in folder.iterdir():
        old.unlink()
    mask = PLAIN_MASKS[writer](folder / "mask", marked)
    write_png(folder / "image.bmp", np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8))
    try:
        labelled = Pair("p", folder / "image.bmp", mask).read_labelled()
    except BadInputError as error:
        assert marked.all() or not marked.any(), error
        assert "mask" in str(error)
        return
    assert labelled.ignored is None
    if marked.all() and writer in ("palette red first", "alpha and colour"):
        return  # a picture of one colour alone: that it is the polyp is written nowhere
    np.testing.assert_array_equal(labelled.mask > 0, marked)


def check_picture(folder: Path, writer: str, size: tuple[int, int], seed: int) -> None:
    frame = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    path, expected = PICTURES[writer](folder / "picture", frame)
    read = read_rgb(path)
    difference = np.abs(read.astype(int) - expected.astype(int))
    assert difference.max() <= (1 if writer == "see-through" else 0)


def check_orientation(folder: Path, suffix: str, orientation: int, size: tuple[int, int], seed: int) -> None:
    frame = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = folder / f"turned{suffix}"
    options = {"lossless": True} if suffix == ".webp" else {"quality": 95} if suffix == ".jpg" else {}
    Image.fromarray(frame).save(path, exif=exif, **options)
    with Image.open(path) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    np.testing.assert_array_equal(read_rgb(path), expected)


def check_ignored(folder: Path, size: tuple[int, int], seed: int, is_palette: bool) -> None:
    """Labels 0 and 1 beside 255: exactly the 255 are kept out, or the mask is refused as unclear."""
    labels = np.random.default_rng(seed).choice(np.array([0, 1, 255], np.uint8), size, p=[0.5, 0.3, 0.2])
    picture = Image.fromarray(labels, "P" if is_palette else "L")
    if is_palette:
        picture.putpalette(VOC + [9] * (768 - len(VOC)))
    picture.save(folder / "mask.png")
    write_png(folder / "image.bmp", np.zeros((*size, 3), np.uint8))
    try:
        labelled = Pair("p", folder / "image.bmp", folder / "mask.png").read_labelled()
    except BadInputError:
        present = set(labels.ravel().tolist())
        assert 1 not in present or (labels == 1).sum() < 0.1 * (labels == 255).sum()
        return
    if 255 not in labels or (labels[labels > 0] == 255).all():
        np.testing.assert_array_equal(labelled.mask > 0, labels > 0)
        return
    assert labelled.ignored is not None
    np.testing.assert_array_equal(labelled.ignored, labels == 255)
    np.testing.assert_array_equal(labelled.mask > 0, labels == 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("written")


MASKS = given(writer=st.sampled_from(sorted(PLAIN_MASKS)), size=SIDES, share=SHARES, seed=SEEDS)
FRAMES = given(writer=st.sampled_from(sorted(PICTURES)), size=SIDES, seed=SEEDS)
TURNS = given(suffix=st.sampled_from(sorted(TURNED)), orientation=st.integers(1, 8), size=SIDES, seed=SEEDS)
IGNORED = given(size=SIDES, seed=SEEDS, is_palette=st.booleans())


@QUICK
@MASKS
def test_masks(folder: Path, writer: str, size: tuple[int, int], share: float, seed: int) -> None:
    check_mask(folder, writer, size, share, seed)


@pytest.mark.long
@pytest.mark.timeout(1200)
@LONG
@MASKS
def test_10000_masks(folder: Path, writer: str, size: tuple[int, int], share: float, seed: int) -> None:
    check_mask(folder, writer, size, share, seed)


@QUICK
@FRAMES
def test_pictures(folder: Path, writer: str, size: tuple[int, int], seed: int) -> None:
    check_picture(folder, writer, size, seed)


@pytest.mark.long
@pytest.mark.timeout(1200)
@LONG
@FRAMES
def test_10000_pictures(folder: Path, writer: str, size: tuple[int, int], seed: int) -> None:
    check_picture(folder, writer, size, seed)


@QUICK
@TURNS
def test_orientations(folder: Path, suffix: str, orientation: int, size: tuple[int, int], seed: int) -> None:
    check_orientation(folder, suffix, orientation, size, seed)


@pytest.mark.long
@pytest.mark.timeout(1200)
@LONG
@TURNS
def test_10000_orientations(folder: Path, suffix: str, orientation: int, size: tuple[int, int], seed: int) -> None:
    check_orientation(folder, suffix, orientation, size, seed)


@QUICK
@IGNORED
def test_ignored_labels(folder: Path, size: tuple[int, int], seed: int, is_palette: bool) -> None:
    check_ignored(folder, size, seed, is_palette)


@pytest.mark.long
@pytest.mark.timeout(1200)
@LONG
@IGNORED
def test_10000_ignored_labels(folder: Path, size: tuple[int, int], seed: int, is_palette: bool) -> None:
    check_ignored(folder, size, seed, is_palette)


@pytest.mark.parametrize("writer", sorted(PLAIN_MASKS))
def test_every_plain_mask_is_read(writer: str, tmp_path: Path) -> None:
    check_mask(tmp_path, writer, (40, 30), 0.3, 1)


@pytest.mark.parametrize("writer", sorted(PICTURES))
def test_every_plain_picture_is_read(writer: str, tmp_path: Path) -> None:
    check_picture(tmp_path, writer, (40, 30), 1)
