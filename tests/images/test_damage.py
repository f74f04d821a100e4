"""Damage that decoders patch over in silence is refused by name; what is whole is never taken for damaged."""

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from edgeseg.errors import BadInputError
from edgeseg.images import pictures_in, read_mask_values, read_rgb

STRIP_OFFSETS, ROWS_PER_STRIP, STRIP_BYTES = 273, 278, 279
QUICK = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _picture(height: int = 60, width: int = 80) -> np.ndarray:
    small = np.random.default_rng(2).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))


def _bytes(kind: str, mode: str = "RGB", **options: object) -> bytes:
    data = io.BytesIO()
    Image.fromarray(_picture(240, 320)).convert(mode).save(data, kind, **options)
    return data.getvalue()


@pytest.mark.parametrize(("progressive", "least"), [(False, 60), (True, 57)])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_a_hole_in_a_jpeg_is_seen(tmp_path: Path, progressive: bool, least: int, subsampling: int) -> None:
    """A few holes of a progressive file still make sense as coded data, and cannot be seen; speckles make it harder."""
    speckles = np.random.default_rng(2).integers(-8, 9, (480, 640, 3))
    speckled = np.clip(_picture(480, 640) + speckles, 0, 255).astype(np.uint8)
    Image.fromarray(speckled).save(tmp_path / "whole.jpg", quality=90, progressive=progressive, subsampling=subsampling)
    whole = (tmp_path / "whole.jpg").read_bytes()
    assert read_rgb(tmp_path / "whole.jpg").shape == (480, 640, 3)
    seen = 0
    for start in np.linspace(900, len(whole) - 500, 60).astype(int):
        (tmp_path / "hole.jpg").write_bytes(whole[:start] + bytes(300) + whole[start + 300 :])
        try:
            read_rgb(tmp_path / "hole.jpg")
        except BadInputError as error:
            assert "hole.jpg is cut off or damaged" in error.what
            seen += 1
    assert seen >= least


def test_a_progressive_jpeg_without_its_last_scans_is_refused(tmp_path: Path) -> None:
    whole = _bytes("JPEG", progressive=True)
    scans = [at for at in range(len(whole) - 1) if whole[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 5
    for at in scans[1:]:
        (tmp_path / "cut.jpg").write_bytes(whole[:at])
        with pytest.raises(BadInputError, match=r"cut\.jpg is cut off or damaged"):
            read_rgb(tmp_path / "cut.jpg")


def test_padding_before_the_end_mark_is_no_damage(tmp_path: Path) -> None:
    """Cameras fill up to a multiple of four bytes; libjpeg warns of it as of damage."""
    whole = _bytes("JPEG")
    (tmp_path / "padded.jpg").write_bytes(whole[:-2] + bytes(3) + whole[-2:])
    expected = np.asarray(Image.open(io.BytesIO(whole)).convert("RGB"))
    np.testing.assert_array_equal(read_rgb(tmp_path / "padded.jpg"), expected)
    (tmp_path / "hole.jpg").write_bytes(whole[:-2] + bytes(30) + whole[-2:])
    with pytest.raises(BadInputError, match="30 extraneous bytes"):
        read_rgb(tmp_path / "hole.jpg")


@pytest.mark.parametrize("kind", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("quality", [5, 75, 100])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (7, 9), (33, 70), (241, 320)])
def test_a_whole_jpeg_is_never_taken_for_damaged(
    tmp_path: Path, kind: str, quality: int, progressive: bool, size: tuple[int, int]
) -> None:
    path = tmp_path / "whole.jpg"
    picture = Image.fromarray(_picture(*size)).convert(kind)
    picture.save(path, quality=quality, progressive=progressive, optimize=quality == 75)
    expected = np.asarray(Image.open(path).convert("RGB"))
    np.testing.assert_array_equal(read_rgb(path), expected)
    path.write_bytes(path.read_bytes() + b"\xff\xda" + bytes(999))  # what a phone appends
    np.testing.assert_array_equal(read_rgb(path), expected)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_file_cut_off_is_refused(tmp_path: Path, kind: str, share: float) -> None:
    path = tmp_path / f"cut.{kind.lower()}"
    data = _bytes(kind)
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(BadInputError, match="cut"):
        read_rgb(path)


def test_a_changed_byte_in_a_png_is_seen_and_bytes_behind_it_are_not(tmp_path: Path) -> None:
    whole = _bytes("PNG")
    (tmp_path / "trail.png").write_bytes(whole + bytes(4096))
    np.testing.assert_array_equal(read_rgb(tmp_path / "trail.png"), _picture(240, 320))
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 4
    (tmp_path / "changed.png").write_bytes(bytes(changed))
    with pytest.raises(BadInputError, match=r"changed\.png is cut off or damaged") as caught:
        read_rgb(tmp_path / "changed.png")
    assert "checksum" in str(caught.value.found)


WRITTEN = {
    "baseline.jpg": _bytes("JPEG"),
    "restarts.jpg": _bytes("JPEG", restart_marker_rows=1),
    "progressive.jpg": _bytes("JPEG", progressive=True),
    "cmyk.jpg": _bytes("JPEG", "CMYK"),
    "a.png": _bytes("PNG"),
    "palette.png": _bytes("PNG", "P"),
    "raw.tif": _bytes("TIFF", tiffinfo={ROWS_PER_STRIP: 16}),
    "lzw.tif": _bytes("TIFF", compression="tiff_lzw"),
    "deflate.tif": _bytes("TIFF", compression="tiff_deflate"),
    "packbits.tif": _bytes("TIFF", compression="packbits"),
    "group4.tif": _bytes("TIFF", "1", compression="group4"),
    "jpeg.tif": _bytes("TIFF", compression="jpeg"),
    "a.bmp": _bytes("BMP"),
    "a.ppm": _bytes("PPM"),
    "a.gif": _bytes("GIF", "P"),
    "lossy.webp": _bytes("WEBP"),
    "lossless.webp": _bytes("WEBP", lossless=True),
}


@QUICK
@given(name=st.sampled_from(sorted(WRITTEN)), end=st.floats(0, 1, exclude_max=True))
def test_what_is_cut_off_is_refused_or_whole(tmp_path: Path, name: str, end: float) -> None:
    """Only what a decoder needs not, such as the last byte of a GIF, may be missing."""
    path, data = tmp_path / name, WRITTEN[name]
    path.write_bytes(data)
    whole = read_rgb(path)
    path.write_bytes(data[: int(end * len(data))])
    try:
        np.testing.assert_array_equal(read_rgb(path), whole)
    except BadInputError as error:
        assert name in error.what


@QUICK
@given(
    name=st.sampled_from(sorted(WRITTEN)),
    at=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
    length=st.sampled_from([1, 2, 16, 300]),
    how=st.sampled_from(["flip", "zero", "drop", "repeat"]),
)
def test_changed_bytes_raise_nothing_but_bad_input(
    tmp_path: Path, name: str, at: float, bit: int, length: int, how: str
) -> None:
    path, data = tmp_path / name, WRITTEN[name]
    start = int(at * len(data))
    part = data[start : start + length]
    new = {
        "flip": bytes([part[0] ^ 1 << bit]) + part[1:],
        "zero": bytes(len(part)),
        "drop": b"",
        "repeat": part + part,
    }[how]
    changed = data[:start] + new + data[start + length :]
    path.write_bytes(changed)
    for reader in (read_rgb, read_mask_values, lambda path: list(pictures_in(path))):
        try:
            read = reader(path)
        except BadInputError as error:
            assert name in error.what
        else:
            if name.endswith(".png") and reader is read_rgb:
                path.write_bytes(data)
                np.testing.assert_array_equal(read, read_rgb(path))
                path.write_bytes(changed)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "packbits"])
@pytest.mark.parametrize("tag", [STRIP_OFFSETS, STRIP_BYTES])
def test_a_tiff_that_lacks_a_strip_is_refused(tmp_path: Path, tag: int, compression: str | None) -> None:
    """Pillow shows the start of the file in place of a strip that is nowhere."""
    data = bytearray(_bytes("TIFF", compression=compression, tiffinfo={ROWS_PER_STRIP: 16}))
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    entries = [struct.unpack_from("<HHII", data, start + 2 + 12 * index) for index in range(count)]
    ((_, kind, strips, values),) = (entry for entry in entries if entry[0] == tag)
    assert strips == 15
    width = {3: 2, 4: 4}[kind]
    data[values + 7 * width : values + 8 * width] = bytes(width)
    (tmp_path / "sparse.tif").write_bytes(data)
    with pytest.raises(BadInputError, match=r"sparse\.tif is cut off or damaged") as caught:
        read_rgb(tmp_path / "sparse.tif")
    assert caught.value.found == "14 of 15 strips"
