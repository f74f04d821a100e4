"""Writers of masks and pictures in every way that people have them; what they write is the truth of the tests."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

Pixels = np.ndarray[Any, Any]
Writer = Callable[[Path, Pixels], Path]


def _saved(picture: Image.Image, path: Path, **options: Any) -> Path:
    picture.save(path, **options)
    return path


def grey(values: tuple[int, int], dtype: type = np.uint8, suffix: str = ".png", **options: Any) -> Writer:
    """Two values in grey, of any depth."""

    def write(path: Path, marked: Pixels) -> Path:
        picture = np.where(marked, values[1], values[0]).astype(dtype)
        return _saved(Image.fromarray(picture), path.with_suffix(suffix), **options)

    return write


ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row and column, and the steps between, of an interlaced PNG's passes (PNG specification, 8.2)."""


def interlaced(path: Path, pixels: Pixels) -> Path:
    """Write uint8 [H,W] or [H,W,3] as an interlaced PNG, which Pillow does not write."""
    passes = [pixels[row::down, column::right] for row, column, down, right in ADAM7]
    lines = b"".join(b"\0" + line.tobytes() for part in passes if part.size for line in part)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 0 if pixels.ndim == 2 else 2, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    data = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    path.with_suffix(".png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path.with_suffix(".png")


def interlaced_mask(path: Path, marked: Pixels) -> Path:
    return interlaced(path, marked.astype(np.uint8) * 255)


def with_gamma() -> dict[str, Any]:
    """Options of a PNG that states a gamma and a colour profile, neither of which changes what it stores."""
    info = PngInfo()
    info.add(b"gAMA", struct.pack(">I", 100000))
    return {"pnginfo": info, "icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()}


def deep_colour_mask(path: Path, marked: Pixels) -> Path:
    cv2.imwrite(str(path.with_suffix(".png")), np.dstack([marked.astype(np.uint16) * 65535] * 3))
    return path.with_suffix(".png")


def one_bit(suffix: str) -> Writer:
    return lambda path, marked: _saved(Image.fromarray(marked), path.with_suffix(suffix))


def one_bit_white_is_zero(path: Path, marked: Pixels) -> Path:
    """A fax: Group 4, whose photometric interpretation Pillow writes as white is 0."""
    return _saved(Image.fromarray(marked), path.with_suffix(".tif"), compression="group4")


def colour(value: tuple[int, int, int], suffix: str = ".png") -> Writer:
    def write(path: Path, marked: Pixels) -> Path:
        picture = np.zeros((*marked.shape, 3), np.uint8)
        picture[marked] = value
        return _saved(Image.fromarray(picture), path.with_suffix(suffix))

    return write


def transparent(fill: int, in_colour: bool, channels: int = 3) -> Writer:
    """The mask in the alpha channel, alone or in the colour too."""

    def write(path: Path, marked: Pixels) -> Path:
        plane = np.where(marked, fill, 0 if in_colour else fill).astype(np.uint8)
        alpha = marked.astype(np.uint8) * 255
        picture = np.stack([plane] * channels + [alpha], axis=2)
        return _saved(Image.fromarray(picture, "RGBA" if channels == 3 else "LA"), path.with_suffix(".png"))

    return write


def palette(
    colours: list[int], background: int = 0, foreground: int = 1, suffix: str = ".png", **options: Any
) -> Writer:
    def write(path: Path, marked: Pixels) -> Path:
        picture = Image.fromarray(np.where(marked, foreground, background).astype(np.uint8), "P")
        picture.putpalette(colours + [0] * (768 - len(colours)))
        return _saved(picture, path.with_suffix(suffix), **options)

    return write


VOC = [0, 0, 0, 128, 0, 0, 0, 128, 0]
PLAIN_MASKS: dict[str, Writer] = {
    "0/1": grey((0, 1)),
    "0/255": grey((0, 255)),
    "0/100": grey((0, 100)),
    "1 bit png": one_bit(".png"),
    "1 bit tif": one_bit(".tif"),
    "1 bit pbm": one_bit(".pbm"),
    "16 bit 0/1": grey((0, 1), np.uint16),
    "16 bit 0/255": grey((0, 255), np.uint16),
    "16 bit 0/65535": grey((0, 65535), np.uint16),
    "16 bit tif": grey((0, 65535), np.uint16, ".tif"),
    "float tif": grey((0, 1), np.float32, ".tif"),
    "int32 tif": grey((0, 1), np.int32, ".tif"),
    "bmp": grey((0, 255), suffix=".bmp"),
    "gif": grey((0, 255), suffix=".gif"),
    "gif 0/1": grey((0, 1), suffix=".gif"),
    "pgm": grey((0, 255), suffix=".pgm"),
    "tif lzw": grey((0, 255), suffix=".tiff", compression="tiff_lzw"),
    "tif deflate": grey((0, 1), suffix=".TIF", compression="tiff_deflate"),
    "webp": grey((0, 255), suffix=".webp", lossless=True),
    "upper case": grey((0, 255), suffix=".PNG"),
    "red": colour((255, 0, 0)),
    "dark blue": colour((0, 0, 60)),
    "yellow bmp": colour((255, 255, 0), ".bmp"),
    "white rgb": colour((255, 255, 255)),
    "grey rgb": colour((100, 100, 100)),
    "alpha alone": transparent(255, False),
    "alpha and colour": transparent(255, True),
    "alpha of grey": transparent(255, False, 1),
    "palette voc": palette(VOC),
    "palette white": palette([0, 0, 0, 255, 255, 255]),
    "palette white first": palette([255, 255, 255, 0, 0, 0], background=1, foreground=0),
    "palette red first": palette([255, 0, 0, 0, 0, 0], background=1, foreground=0),
    "palette gif": palette(VOC, suffix=".gif"),
    "palette of 1 bit": palette(VOC, bits=1),
    "palette of 2 bits": palette(VOC, bits=2),
    "palette of 4 bits": palette(VOC, bits=4),
    "interlaced": interlaced_mask,
    "gamma and profile": grey((0, 255), **with_gamma()),
    "background transparent": grey((0, 255), transparency=0),
    "16 bit rgb": deep_colour_mask,
    "tif packbits": grey((0, 255), suffix=".tif", compression="packbits"),
    "tif with white as 0": one_bit_white_is_zero,
}
"""Masks of two values that are read, whatever they show, unless one of the two is missing."""


def _saved_rgb(mode: str, suffix: str, **options: Any) -> Callable[[Path, Pixels], tuple[Path, Pixels]]:
    def write(path: Path, frame: Pixels) -> tuple[Path, Pixels]:
        picture = Image.fromarray(frame).convert(mode)
        expected = np.asarray(picture.convert("RGB"))
        return _saved(picture, path.with_suffix(suffix), **options), expected

    return write


def _sixteen_bits(suffix: str, is_grey: bool) -> Callable[[Path, Pixels], tuple[Path, Pixels]]:
    """Full-scale 16 bits; white is there, so that the brightness is clear."""

    def write(path: Path, frame: Pixels) -> tuple[Path, Pixels]:
        low = np.random.default_rng(5).integers(0, 257, frame.shape).astype(np.int64)
        deep = np.clip(frame.astype(np.int64) * 257 + low - 128, 0, 65535).astype(np.uint16)
        deep[0, 0] = 65535
        expected = np.rint(deep / 257).astype(np.uint8)
        if is_grey:
            deep, expected = deep[..., 0], np.repeat(expected[..., :1], 3, axis=2)
        assert cv2.imwrite(str(path.with_suffix(suffix)), deep[..., ::-1] if deep.ndim == 3 else deep)
        return path.with_suffix(suffix), expected

    return write


def _see_through(path: Path, frame: Pixels) -> tuple[Path, Pixels]:
    alpha = frame[..., 0]
    picture = Image.fromarray(np.dstack([frame, alpha]), "RGBA")
    black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
    expected = np.asarray(Image.alpha_composite(black, picture).convert("RGB"))
    return _saved(picture, path.with_suffix(".png")), expected


def _lossy(mode: str, suffix: str, **options: Any) -> Callable[[Path, Pixels], tuple[Path, Pixels]]:
    """The truth is what Pillow reads back: it decodes alike, but what is made of its result is another."""

    def write(path: Path, frame: Pixels) -> tuple[Path, Pixels]:
        saved = _saved(Image.fromarray(frame).convert(mode), path.with_suffix(suffix), **options)
        with Image.open(saved) as opened:
            return saved, np.asarray(opened.convert("RGB"))

    return write


def _interlaced(path: Path, frame: Pixels) -> tuple[Path, Pixels]:
    return interlaced(path, frame), frame


def _one_colour_transparent(path: Path, frame: Pixels) -> tuple[Path, Pixels]:
    hidden = (frame == frame[0, 0]).all(axis=2)
    path = _saved(Image.fromarray(frame), path.with_suffix(".png"), transparency=tuple(map(int, frame[0, 0])))
    return path, np.where(hidden[..., np.newaxis], 0, frame).astype(np.uint8)


def _one_grey_transparent(path: Path, frame: Pixels) -> tuple[Path, Pixels]:
    grey_plane = frame[..., 0]
    path = _saved(Image.fromarray(grey_plane), path.with_suffix(".png"), transparency=int(grey_plane[0, 0]))
    shown = np.where(grey_plane == grey_plane[0, 0], 0, grey_plane)
    return path, np.repeat(shown[..., np.newaxis], 3, axis=2).astype(np.uint8)


def _deep_see_through(path: Path, frame: Pixels) -> tuple[Path, Pixels]:
    """16-bit RGBA: black where it is transparent, at 8 bits."""
    alpha = np.where(frame[..., 0] > 127, 65535, 0).astype(np.uint16)
    deep = np.dstack([frame[..., ::-1].astype(np.uint16) * 257, alpha])
    deep[0, 0] = 65535
    cv2.imwrite(str(path.with_suffix(".png")), deep)
    expected = np.where(deep[..., 3:] > 0, deep[..., 2::-1] // 257, 0).astype(np.uint8)
    return path.with_suffix(".png"), expected


PICTURES: dict[str, Callable[[Path, Pixels], tuple[Path, Pixels]]] = {
    "rgb png": _saved_rgb("RGB", ".png"),
    "rgb bmp": _saved_rgb("RGB", ".bmp"),
    "rgb tif": _saved_rgb("RGB", ".tif", compression="tiff_lzw"),
    "rgb ppm": _saved_rgb("RGB", ".ppm"),
    "rgb webp": _saved_rgb("RGB", ".webp", lossless=True),
    "grey png": _saved_rgb("L", ".png"),
    "grey tif": _saved_rgb("L", ".tif"),
    "1 bit png": _saved_rgb("1", ".png"),
    "palette png": _saved_rgb("P", ".png"),
    "palette gif": _saved_rgb("P", ".gif"),
    "opaque rgba": _saved_rgb("RGBA", ".png"),
    "grey with alpha": _saved_rgb("LA", ".png"),
    "cmyk tif": _saved_rgb("CMYK", ".tif"),
    "16 bit rgb png": _sixteen_bits(".png", False),
    "16 bit rgb tif": _sixteen_bits(".tif", False),
    "16 bit grey png": _sixteen_bits(".png", True),
    "16 bit grey tif": _sixteen_bits(".tif", True),
    "see-through": _see_through,
    "16 bit see-through": _deep_see_through,
    "interlaced png": _interlaced,
    "gamma and profile": _saved_rgb("RGB", ".png", **with_gamma()),
    "one colour transparent": _one_colour_transparent,
    "one grey transparent": _one_grey_transparent,
    "palette of 4 bits": _lossy("P", ".png", bits=4),
    "jpeg": _lossy("RGB", ".jpg", quality=90),
    "jpeg grey": _lossy("L", ".jpg"),
    "jpeg cmyk": _lossy("CMYK", ".jpg"),
    "jpeg progressive": _lossy("RGB", ".jpg", progressive=True),
    "jpeg with restarts": _lossy("RGB", ".jpg", restart_marker_blocks=1),
    "tif jpeg": _lossy("RGB", ".tif", compression="jpeg"),
    "tif packbits": _saved_rgb("RGB", ".tif", compression="packbits"),
    "rgb webp lossy": _lossy("RGB", ".webp", quality=80),
}
"""Pictures with what must be read from them, uint8 [H,W,3] RGB."""
