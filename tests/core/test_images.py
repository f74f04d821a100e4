import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeseg.errors import BadInputError
from edgeseg.images import (
    encode_jpeg,
    encode_png,
    hash_pixels,
    list_images,
    read_mask,
    read_mask_values,
    read_rgb,
    write_png,
)

SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40))
FRAMES = SIDES.flatmap(lambda size: hnp.arrays(np.uint8, (*size, 3)))


def _picture() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (64, 48, 3), dtype=np.uint8)


@settings(max_examples=40, deadline=None)
@given(frame=FRAMES)
def test_png_gives_every_pixel_back(frame: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("png") / "a.png"
    write_png(path, frame)
    np.testing.assert_array_equal(read_rgb(path), frame)


@settings(max_examples=40, deadline=None)
@given(mask=SIDES.flatmap(lambda size: hnp.arrays(np.uint8, size, elements=st.sampled_from([0, 255]))))
def test_png_masks_round_trip(mask: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("png") / "m.png"
    write_png(path, mask)
    np.testing.assert_array_equal(read_mask(path), mask)


def test_channels_are_in_rgb_order(tmp_path: Path) -> None:
    (tmp_path / "red.ppm").write_bytes(b"P6 1 1 255\n\xff\x00\x00")
    red = cv2.imread(str(tmp_path / "red.ppm"))  # BGR
    cv2.imwrite(str(tmp_path / "red.png"), red)
    assert read_rgb(tmp_path / "red.png").tolist() == [[[255, 0, 0]]]


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0.0, 0.99), jpeg=st.booleans())
def test_a_file_cut_anywhere_is_refused(share: float, jpeg: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    data = encode_jpeg(_picture()) if jpeg else encode_png(_picture())
    path = tmp_path_factory.mktemp("cut") / ("a.jpg" if jpeg else "a.png")
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BadInputError):
        read_rgb(path)


@pytest.mark.parametrize("junk", [b"", b"not a picture", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", bytes(1000)])
def test_junk_is_refused_by_name(junk: bytes, tmp_path: Path) -> None:
    path = tmp_path / "junk.png"
    path.write_bytes(junk)
    with pytest.raises(BadInputError, match=r"junk\.png"):
        read_mask(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    for name in ("none.png", "folder.png"):
        with pytest.raises(BadInputError, match="cannot read the image") as caught:
            read_rgb(tmp_path / name)
        assert caught.value.found


def test_mask_threshold_lies_between_127_and_128(tmp_path: Path) -> None:
    soft = np.zeros((40, 40), np.uint8)
    soft[20:] = 255
    soft[0, :5] = [0, 1, 127, 128, 255]
    cv2.imwrite(str(tmp_path / "m.png"), soft)
    assert read_mask(tmp_path / "m.png")[0, :5].tolist() == [0, 0, 0, 255, 255]
    np.testing.assert_array_equal(read_mask_values(tmp_path / "m.png").values, soft)


def test_pixel_hash_sees_pixels_and_shape_but_no_file_format(tmp_path: Path) -> None:
    frame = _picture()
    cv2.imwrite(str(tmp_path / "a.bmp"), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    write_png(tmp_path / "a.png", frame)
    assert hash_pixels(read_rgb(tmp_path / "a.bmp")) == hash_pixels(read_rgb(tmp_path / "a.png"))
    assert hash_pixels(frame) != hash_pixels(frame.reshape(48, 64, 3))
    changed = frame.copy()
    changed[0, 0, 0] ^= 1
    assert hash_pixels(frame) != hash_pixels(changed)


def test_listing_takes_pictures_by_suffix_in_order(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "notes.txt", ".hidden", "c.tiff"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in list_images(tmp_path)] == ["a.jpg", "b.PNG", "c.tiff"]


def test_jpeg_quality_counts() -> None:
    frame = _picture()
    small, large = encode_jpeg(frame, 40), encode_jpeg(frame, 95)
    assert len(small) < len(large)
    assert io.BytesIO(large).read(2) == b"\xff\xd8"
