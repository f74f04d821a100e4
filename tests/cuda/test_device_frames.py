"""Frames that are on the device already, handed over without a copy: both protocols, every format, odd pitches."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.errors import BadInputError
from edgeseg.runtime.cuda.cuda_engine import CudaOptions
from edgeseg.runtime.cuda.device_frames import DevicePixels, Nv12Frame, Nv12Surface
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.one_frame import probability_of
from edgeseg.runtime.engine.session import Session
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.opener.use import Use

HEIGHT, WIDTH = 61, 83
ROW = 3 * WIDTH
RGB = cv2.resize(np.random.default_rng(6).integers(0, 256, (5, 6, 3), dtype=np.uint8), (WIDTH, HEIGHT))
PROTOCOLS = ("Interface", "Dlpack")
LATE = {"delay_us": 3000, "seed": 9}


@pytest.fixture
def device(standin: Callable[..., Any]) -> Any:
    """The module device_producer."""
    import device_producer

    return device_producer


@pytest.fixture
def session(double: Any, standin: Callable[..., Any], small_onnx: Path) -> Iterator[Any]:
    """Room for one byte of a host's frame: whatever took that way would be refused. Nothing may be left behind."""
    opened = standin(small_onnx, CudaOptions(frame_bytes=1))
    yield opened
    opened.close()
    assert double.live() == (0, 0)


@pytest.fixture
def reference(small_onnx: Path) -> Session:
    return open_engine(small_onnx, Use(1))


@pytest.fixture
def produced(session: Any, device: Any) -> Iterator[Callable[..., Any]]:
    """Makes arrays on the device and frees them before the session ends."""
    made = []

    def make(values: Any, pitch_bytes: int, offset_bytes: int = 0) -> Any:
        made.append(device.Produced(values, pitch_bytes, offset_bytes))
        return made[-1]

    yield make
    for each in made:
        each.free()


def _packed(kind: str) -> Any:
    if kind == "rgb24":
        return RGB
    bgr = np.ascontiguousarray(RGB[:, :, ::-1])
    return bgr if kind == "bgr24" else np.dstack([bgr, np.full((HEIGHT, WIDTH, 1), 255, np.uint8)])


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", ["rgb24", "bgr24", "bgr0"])
@pytest.mark.parametrize(("extra", "offset"), [(0, 0), (1, 3), (77, 5)], ids=["compact", "odd", "wide"])
def test_packed_pixels_give_the_cpu_paths_map(
    double: Any,
    session: Any,
    reference: Session,
    device: Any,
    produced: Any,
    protocol: str,
    kind: Any,
    extra: int,
    offset: int,
) -> None:
    values = _packed(kind)
    for name, value in LATE.items():
        double.set(name, value)
    array = getattr(device, protocol)(produced(values, values.shape[1] * values.shape[2] + extra, offset))
    before = double.count("cuMemcpyHtoDAsync", "cuMemcpyDtoDAsync", "cuStreamSynchronize", "cuCtxSynchronize")
    session.start_device(DevicePixels(array, kind))
    probability = session.finish().probability
    after = double.count("cuMemcpyHtoDAsync", "cuMemcpyDtoDAsync", "cuStreamSynchronize", "cuCtxSynchronize")
    np.testing.assert_array_equal(probability, probability_of(reference, PackedFrame(RGB, "rgb")))
    assert after == before, "a copy, or a wait of the host for a stream"


def _nv12(matrix: str, colour_range: str, height: int, width: int) -> tuple[Any, Any, Any]:
    """Y, UV and the RGB that they mean, by the definition in ITU-R BT.601 and BT.709, in floating point."""
    rng = np.random.default_rng(11)
    luma = cv2.resize(rng.integers(16, 235, (5, 6), dtype=np.uint8), (width, height))
    pairs = ((height + 1) // 2, (width + 1) // 2)
    chroma = np.stack([cv2.resize(rng.integers(90, 160, (3, 4), dtype=np.uint8), pairs[::-1]) for _ in range(2)], 2)
    red, blue = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}[matrix]
    full = colour_range == "full"
    y = (luma.astype(float) - (0 if full else 16)) * 255 / (255 if full else 219)
    spread = np.repeat(np.repeat(chroma, 2, 0), 2, 1)[:height, :width].astype(float) - 128
    u, v = (spread[:, :, index] * 255 / (255 if full else 224) for index in (0, 1))
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    g = (y - red * r - blue * b) / (1 - red - blue)
    return luma, chroma, np.clip(np.stack([r, g, b], 2).round(), 0, 255).astype(np.uint8)


def _close(found: Any, expected: Any) -> None:
    """The kernel's integers may differ from floating point by a grey level here and there."""
    assert np.abs(found - expected).max() < 0.06
    assert np.abs(found - expected).mean() < 0.01


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("colour_range", ["limited", "full"])
def test_nv12_as_two_planes_of_odd_size(
    double: Any,
    session: Any,
    reference: Session,
    device: Any,
    produced: Any,
    protocol: str,
    matrix: Any,
    colour_range: Any,
) -> None:
    luma, chroma, rgb = _nv12(matrix, colour_range, HEIGHT, WIDTH)
    for name, value in LATE.items():
        double.set(name, value)
    make = getattr(device, protocol)
    expected = probability_of(reference, PackedFrame(rgb, "rgb"))
    for uv in (chroma, chroma.reshape(chroma.shape[0], -1)):
        planes = make(produced(luma, WIDTH + 13, 7)), make(produced(uv, 2 * chroma.shape[1] + 5))
        session.start_device(Nv12Frame(*planes, matrix, colour_range))
        _close(session.finish().probability, expected)
    other: Any = {"bt601": "bt709", "bt709": "bt601"}[matrix]
    session.start_device(Nv12Frame(*planes, other, colour_range))
    assert np.abs(session.finish().probability - expected).max() > 0.005, "the matrix is not heeded"


def test_nv12_as_one_surface_of_a_decoder_that_pads_its_planes(
    session: Any,
    reference: Session,
    device: Any,
    produced: Any,
) -> None:
    height, width, rows = 54, 96, 64
    luma, chroma, rgb = _nv12("bt709", "limited", height, width)
    surface = np.full((3 * rows // 2, width), 17, np.uint8)
    surface[:height] = luma
    surface[rows : rows + height // 2] = chroma.reshape(height // 2, width)
    array = device.Dlpack(produced(surface, 128))
    session.start_device(Nv12Surface(array, height, "bt709", "limited"))
    _close(session.finish().probability, probability_of(reference, PackedFrame(rgb, "rgb")))
    with pytest.raises(BadInputError, match="another shape"):
        session.start_device(Nv12Surface(array, rows + 1, "bt709", "limited"))


def test_the_crop_is_taken_of_device_frames_too(
    session: Any,
    device: Any,
    produced: Any,
    standin: Any,
    small_onnx: Path,
) -> None:
    import dataclasses

    from edgeseg.specs import Crop, PreprocessSpec

    crop = PreprocessSpec(crop=Crop(top=3, left=5, height=40, width=50))
    session._info = dataclasses.replace(session.info, preprocess=crop)
    session.start_device(DevicePixels(device.Interface(produced(RGB, 3 * WIDTH)), "rgb24"))
    expected = probability_of(
        open_engine(small_onnx, Use(1)), PackedFrame(np.ascontiguousarray(RGB[3:43, 5:55]), "rgb")
    )
    np.testing.assert_array_equal(session.finish().probability, expected)
    with pytest.raises(BadInputError, match="crop leaves"):
        session.start_device(DevicePixels(device.Interface(produced(RGB[:20], 3 * WIDTH)), "rgb24"))


BAD: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "float32": (lambda of, made: of.Interface(made(RGB, ROW), typestr="<f4"), "|u1"),
    "int8 by DLPack": (lambda of, made: of.Dlpack(made(RGB, ROW), kind=(0, 8)), "uint8"),
    "uint16 by DLPack": (lambda of, made: of.Dlpack(made(RGB, ROW), kind=(1, 16)), "uint8"),
    "a CPU tensor": (lambda of, made: of.Dlpack(made(RGB, ROW), device=(1, 0)), "device type 1"),
    "another GPU": (lambda of, made: of.Dlpack(made(RGB, ROW), device=(2, 1)), "GPU 0"),
    "a host address": (
        lambda of, made: of.Interface(made(RGB, ROW), data=(RGB.ctypes.data, False)),
        "no GPU",
    ),
    "stream 0": (lambda of, made: of.Interface(made(RGB, ROW), stream=0), "stream 0"),
    "two channels": (
        lambda of, made: of.Interface(made(np.ascontiguousarray(RGB[:, :, :2]), 2 * WIDTH)),
        "[61, 83, 2]",
    ),
    "grey": (lambda of, made: of.Interface(made(RGB[:, :, 0].copy(), WIDTH)), "[61, 83]"),
    "planar": (
        lambda of, made: of.Interface(made(RGB, ROW), strides=(WIDTH, 1, HEIGHT * WIDTH)),
        "side by side",
    ),
    "flipped": (lambda of, made: of.Interface(made(RGB, ROW), strides=(-ROW, 3, 1)), "backwards"),
    "overlapping": (lambda of, made: of.Interface(made(RGB, ROW), strides=(WIDTH, 3, 1)), "overlap"),
    "empty": (lambda of, made: of.Interface(made(RGB, ROW), shape=(0, WIDTH, 3)), "empty"),
    "masked": (lambda of, made: of.Interface(made(RGB, ROW), mask=object()), "mask"),
    "a numpy array": (lambda of, made: RGB, "device type 1"),
    "no array": (lambda of, made: "frame.png", "__cuda_array_interface__"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_is_refused_and_the_next_frame_is_not(
    session: Any, reference: Session, device: Any, produced: Any, case: str
) -> None:
    make, said = BAD[case]
    with pytest.raises(BadInputError) as raised:
        session.start_device(DevicePixels(make(device, produced), "rgb24"))
    assert said in str(raised.value)
    session.start_device(DevicePixels(device.Interface(produced(RGB, 3 * WIDTH)), "rgb24"))
    np.testing.assert_array_equal(session.finish().probability, probability_of(reference, PackedFrame(RGB, "rgb")))


@pytest.mark.parametrize("stream", [None, 1, 2])
def test_default_streams_and_none_are_understood(
    session: Any,
    reference: Session,
    device: Any,
    produced: Any,
    stream: Any,
) -> None:
    made = produced(RGB, 3 * WIDTH)
    made.stream.synchronize()
    session.start_device(DevicePixels(device.Interface(made, stream=stream), "rgb24"))
    np.testing.assert_array_equal(session.finish().probability, probability_of(reference, PackedFrame(RGB, "rgb")))


def test_a_frame_is_kept_until_its_result_and_no_longer(session: Any, device: Any, produced: Any) -> None:
    array = device.Dlpack(produced(RGB, 3 * WIDTH))
    interface = device.Interface(array.produced)
    alive = weakref.ref(interface)
    session.start_device(DevicePixels(interface, "rgb24"))
    del interface
    gc.collect()
    assert alive() is not None
    session.finish()
    gc.collect()
    assert alive() is None


def test_1000_device_frames_allocate_nothing(double: Any, session: Any, device: Any, produced: Any) -> None:
    calls = ("cuMemAlloc", "cuMemHostAlloc", "cuEventCreate", "cuStreamCreate", "cuGraphInstantiate")
    waits = ("cuStreamSynchronize", "cuCtxSynchronize", "cuMemcpyHtoDAsync")
    frame = DevicePixels(device.Interface(produced(RGB, 3 * WIDTH)), "rgb24")
    session.start_device(frame)
    expected = session.finish().probability.copy()
    before, launches = double.count(*calls, *waits), double.count("cuGraphLaunch")
    for _ in range(1000):
        session.start_device(frame)
        np.testing.assert_array_equal(session.finish().probability, expected)
    assert double.count(*calls, *waits) == before
    assert double.count("cuGraphLaunch") == launches + 1000
