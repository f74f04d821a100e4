"""Files that other readers take with a guess are refused by name."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from edgeseg.errors import BadInputError
from edgeseg.images import (
    encode_jpeg,
    list_folder,
    list_images,
    picture_count,
    pictures_in,
    read_mask,
    read_mask_values,
    read_rgb,
    write_png,
)
from edgeseg.runtime.video.clip import clip
from edgeseg.runtime.video.video_files import open_source


def _picture(height: int = 60, width: int = 80) -> np.ndarray:
    small = np.random.default_rng(2).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))


def test_a_picture_of_a_billion_pixels_is_bad_input(tmp_path: Path) -> None:
    Image.new("1", (40000, 40000)).save(tmp_path / "huge.png")
    with pytest.raises(BadInputError, match=r"huge\.png is too large"):
        read_rgb(tmp_path / "huge.png")
    Image.new("L", (70000, 16)).save(tmp_path / "wide.png")
    assert read_rgb(tmp_path / "wide.png").shape == (16, 70000, 3)


@pytest.mark.parametrize("name", ["stack.tif", "anim.webp", "anim.png", "anim.gif"])
def test_several_pictures_in_a_file(tmp_path: Path, name: str) -> None:
    frames = [np.roll(_picture(), 9 * index, axis=1) for index in range(5)]
    pages = [Image.fromarray(frame) for frame in frames]
    options = {"lossless": True} if name.endswith("webp") else {}
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:], **options)
    assert picture_count(tmp_path / name) == 5
    with pytest.raises(BadInputError, match="several pictures") as caught:
        read_rgb(tmp_path / name)
    assert "5 pictures" in str(caught.value.found)
    read = list(pictures_in(tmp_path / name))
    assert len(read) == 5
    if not name.endswith("gif"):
        for got, frame in zip(read, frames, strict=True):
            np.testing.assert_array_equal(got, frame)


def test_a_reduced_copy_in_a_tiff_is_no_second_picture(tmp_path: Path) -> None:
    page, small = Image.fromarray(_picture()), Image.fromarray(_picture(30, 40))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    page.save(tmp_path / "a.tif", save_all=True, append_images=[small])
    assert picture_count(tmp_path / "a.tif") == 1
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.tif"), _picture())


def test_twelve_bits_in_sixteen_are_not_read_as_black(tmp_path: Path) -> None:
    deep = (_picture().astype(np.uint16) * 16)[..., ::-1]
    for name, picture in (("colour.png", deep), ("grey.png", deep[..., 0]), ("colour.tif", deep)):
        cv2.imwrite(str(tmp_path / name), picture)
        with pytest.raises(BadInputError, match="brightness") as caught:
            read_rgb(tmp_path / name)
        assert "is white 4095" in str(caught.value.found)


MASKS_WITHOUT_MEANING = {
    "three greys": lambda: Image.fromarray(np.repeat(np.array([0, 90, 255], np.uint8), 300).reshape(30, 30)),
    "two dark greys": lambda: Image.fromarray(np.repeat(np.array([0, 70, 110], np.uint8), 300).reshape(30, 30)),
    "two colours": lambda: Image.fromarray(
        np.repeat(np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8), 300, axis=0).reshape(30, 30, 3)
    ),
    "red on white": lambda: Image.fromarray(
        np.repeat(np.array([[255, 255, 255], [255, 0, 0]], np.uint8), 450, axis=0).reshape(30, 30, 3)
    ),
    "fractions": lambda: Image.fromarray(np.linspace(0, 1, 900, dtype=np.float32).reshape(30, 30)),
    "labels": lambda: Image.fromarray(np.repeat(np.array([0, 1, 2], np.uint8), 300).reshape(30, 30)),
}


@pytest.mark.parametrize("name", sorted(MASKS_WITHOUT_MEANING))
def test_masks_without_one_meaning_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "m.tif"
    MASKS_WITHOUT_MEANING[name]().save(path)
    with pytest.raises(BadInputError, match=r"m\.tif"):
        read_mask(path)


@pytest.mark.parametrize("quality", [50, 75, 95])
@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 255, 255)])
def test_one_colour_smeared_by_jpeg_is_a_mask(tmp_path: Path, colour: tuple[int, int, int], quality: int) -> None:
    marked = cv2.circle(np.zeros((96, 96), np.uint8), (40, 50), 22, 1, -1) > 0
    picture = np.zeros((96, 96, 3), np.uint8)
    picture[marked] = colour
    Image.fromarray(picture).save(tmp_path / "m.jpg", quality=quality)
    wrong = (read_mask(tmp_path / "m.jpg") > 0) != marked
    assert wrong.mean() < 0.02


def test_jpeg_masks_keep_the_brightness_that_opencv_reads(tmp_path: Path) -> None:
    mask = cv2.circle(np.zeros((96, 96), np.uint8), (40, 50), 22, 255, -1)
    for name, picture in (("grey.jpg", mask), ("colour.jpg", np.dstack([mask] * 3))):
        cv2.imwrite(str(tmp_path / name), picture)
        expected = cv2.imread(str(tmp_path / name), cv2.IMREAD_GRAYSCALE)
        np.testing.assert_array_equal(read_mask_values(tmp_path / name).grey(), expected)


def test_listing_is_natural_and_counts_what_it_passes_over(tmp_path: Path) -> None:
    images = ["frame_1.jpg", "frame_2.jpe", "frame_3.gif", "Frame_4.JFIF", "frame_10.jpg", "frame_11.png"]
    others = ["._frame_1.jpg", ".DS_Store", "Thumbs.db", "desktop.ini", "notes.txt", "a.heic", "b.heic", "README"]
    for name in (*images, *others):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in list_images(tmp_path)] == images
    listing = list_folder(tmp_path)
    assert listing.hidden == 4
    assert listing.foreign == {".txt": 1, ".heic": 2, "": 1}
    assert listing.passed_over() == "4 hidden or system files, 1 without a suffix, 2 .heic, 1 .txt"


def test_a_picture_too_wide_for_jpeg_or_a_clip_is_refused_by_name(tmp_path: Path) -> None:
    wide = np.zeros((16, 70000, 3), np.uint8)
    with pytest.raises(BadInputError, match="too large to be written as JPEG"):
        encode_jpeg(wide)
    write_png(tmp_path / "wide.png", wide)
    with open_source(tmp_path / "wide.png") as source:
        (frame,) = source.frames()
    with (
        pytest.raises(BadInputError, match="wide is too large for a clip"),
        clip(tmp_path / "o.mp4", source.timing) as sink,
    ):
        sink.write(frame, frame.picture)
    assert not (tmp_path / "o.mp4").exists()


@pytest.mark.parametrize(
    ("data", "found", "command"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "a HEIC or AVIF picture", "save it as JPEG or PNG"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer, not the file", "git lfs pull"),
        (b"<!DOCTYPE html><html>404</html>", "a web page, not the file", "download the file again"),
        (b"", "an empty file", "copy the file again, or remove it"),
    ],
)
def test_what_only_has_the_name_of_an_image_is_named(tmp_path: Path, data: bytes, found: str, command: str) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(BadInputError, match="no image that edgeseg can read") as caught:
        read_rgb(tmp_path / "a.jpg")
    assert (caught.value.found, caught.value.next_command) == (found, command)


@pytest.mark.parametrize("value", [1, 2, 5, 20])
def test_small_labels_in_jpeg_are_not_read_as_empty(tmp_path: Path, value: int) -> None:
    mask = cv2.circle(np.zeros((96, 96), np.uint8), (40, 50), 22, value, -1)
    Image.fromarray(mask).save(tmp_path / "m.jpg", quality=95)
    with pytest.raises(BadInputError, match=r"reads? as (empty|one)"):
        read_mask(tmp_path / "m.jpg")
