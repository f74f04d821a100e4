"""DICOM objects made by pydicom: what run, evaluate and live read of them, against the pictures that went in."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from edgeseg.cli import run
from edgeseg.dataset import load_pairs
from edgeseg.errors import BadInputError, MissingComponentError
from edgeseg.images import is_dicom, read_rgb, write_png
from edgeseg.runtime.live.sources.source_opening import open_live_source
from edgeseg.runtime.video.dicom import EncapsulatedStream
from edgeseg.runtime.video.video_files import open_source

pydicom = pytest.importorskip("pydicom", reason="pip install 'edgeseg[dicom]'")
pytest.importorskip("PIL", reason="pip install 'edgeseg[dicom]'")

HEIGHT, WIDTH, COUNT = 96, 128, 5
ENDOSCOPY_VIDEO = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
EXPLICIT, JPEG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50"
MPEG2, H264 = "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.102"
Write = Callable[..., Path]


def pictures(count: int = COUNT) -> list[np.ndarray]:
    """RGB: a red square that wanders to the right."""
    frames = []
    for index in range(count):
        frame = np.full((HEIGHT, WIDTH, 3), 96, np.uint8)
        frame[16:48, 16 + 8 * index : 48 + 8 * index] = (255, 0, 0)
        frames.append(frame)
    return frames


def ybr_full(rgb: np.ndarray) -> np.ndarray:
    """PS3.3, C.7.6.3.1.2, by hand."""
    red, green, blue = (rgb[..., index].astype(float) for index in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = [128 + (blue - luma) / 1.772, 128 + (red - luma) / 1.402]
    return np.clip(np.stack([luma, *chroma], -1).round(), 0, 255).astype(np.uint8)


def jpeg(rgb: np.ndarray) -> bytes:
    encoded, data = cv2.imencode(".jpg", rgb[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 95))
    assert encoded
    return data.tobytes()


def video_bytes(form: str, codec: str = "mpeg2video", count: int = COUNT) -> bytes:
    stream = io.BytesIO()
    with av.open(stream, "w", format=form) as container:
        video = container.add_stream(codec, rate=25)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index, picture in enumerate(pictures(count)):
            frame = av.VideoFrame.from_ndarray(picture)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode())
    return stream.getvalue()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write an object; attributes by keyword."""

    def make(name: str, syntax: str, pixels: bytes, **attributes: Any) -> Path:
        described = pydicom.Dataset()
        described.file_meta = pydicom.dataset.FileMetaDataset()
        described.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
        described.file_meta.MediaStorageSOPClassUID = ENDOSCOPY_VIDEO
        described.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        described.SOPClassUID = ENDOSCOPY_VIDEO
        described.SOPInstanceUID = described.file_meta.MediaStorageSOPInstanceUID
        described.Modality = "ES"
        base = {
            "Rows": HEIGHT,
            "Columns": WIDTH,
            "SamplesPerPixel": 3,
            "PhotometricInterpretation": "RGB",
            "PlanarConfiguration": 0,
            "BitsAllocated": 8,
            "BitsStored": 8,
            "HighBit": 7,
            "PixelRepresentation": 0,
            "NumberOfFrames": COUNT,
        }
        for key, value in (base | attributes).items():
            setattr(described, key, value)
        described.PixelData = pixels
        if pydicom.uid.UID(syntax).is_encapsulated:
            described["PixelData"].VR = "OB"
            described["PixelData"].is_undefined_length = True
        path = tmp_path / name
        described.save_as(path, enforce_file_format=True)
        return path

    return make


def raw(write: Write, **attributes: Any) -> Path:
    return write("raw.dcm", EXPLICIT, b"".join(picture.tobytes() for picture in pictures()), **attributes)


def encapsulated(frames: list[bytes], **options: Any) -> bytes:
    return bytes(pydicom.encaps.encapsulate(frames, **options))


def objects(write: Write) -> dict[str, Path]:
    shown = pictures()
    ybr = b"".join(ybr_full(picture).tobytes() for picture in shown)
    still, mp4 = encapsulated([jpeg(picture) for picture in shown]), video_bytes("mp4", "libx264")
    subsampled = {"PhotometricInterpretation": "YBR_PARTIAL_420"}
    return {
        "rgb": raw(write, FrameTime=40),
        "ybr": write("ybr.dcm", EXPLICIT, ybr, PhotometricInterpretation="YBR_FULL"),
        "jpeg": write("jpeg.dcm", JPEG, still, PhotometricInterpretation="YBR_FULL_422"),
        "mpeg2 in ts": write("ts.dcm", MPEG2, encapsulated([video_bytes("mpegts")]), **subsampled),
        "mp4 in fragments": write("mp4.dcm", H264, encapsulated([mp4], fragments_per_frame=7), **subsampled),
    }


@pytest.mark.parametrize("kind", ["rgb", "ybr", "jpeg", "mpeg2 in ts", "mp4 in fragments"])
def test_every_frame_is_read_as_it_went_in(write: Write, kind: str) -> None:
    path = objects(write)[kind]
    assert is_dicom(path)
    with open_source(path) as opened:
        frames = list(opened.frames())
        assert opened.timing.rate == 25 and opened.lost_frames == 0
    assert [frame.name for frame in frames] == [f"frame_{index:06d}" for index in range(COUNT)]
    tolerance = 0 if kind == "rgb" else 2 if kind == "ybr" else 20
    for frame, expected in zip(frames, pictures(), strict=True):
        difference = np.abs(frame.image[..., ::-1].astype(int) - expected)
        assert np.median(difference) <= min(tolerance, 4) and difference[20:44, 60:].mean() <= tolerance


def test_a_still_keeps_its_name_and_grey_is_a_picture_too(write: Write) -> None:
    grey = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
    for photometric, expected in (("MONOCHROME2", grey), ("MONOCHROME1", 255 - grey)):
        path = write(
            "still.dcm",
            EXPLICIT,
            grey.tobytes(),
            SamplesPerPixel=1,
            PhotometricInterpretation=photometric,
            NumberOfFrames=1,
        )
        with open_source(path) as opened:
            (frame,) = opened.frames()
        assert frame.name == "still"
        assert all(np.array_equal(frame.image[..., channel], expected) for channel in range(3))


@pytest.mark.parametrize(
    ("attributes", "rate"),
    [
        ({"FrameTime": 40}, 25),
        ({"CineRate": 30}, 30),
        ({"RecommendedDisplayFrameRate": 50, "CineRate": 30}, 50),
        ({}, 25),
    ],
)
def test_the_rate_is_the_objects(write: Write, attributes: dict[str, Any], rate: int) -> None:
    with open_source(raw(write, **attributes)) as opened:
        assert opened.timing.rate == rate


def test_the_stream_inside_is_read_from_any_place(write: Write) -> None:
    data = video_bytes("mpegts")
    path = write("ts.dcm", MPEG2, encapsulated([data], fragments_per_frame=5))
    with EncapsulatedStream(path) as stream:
        inside = b"".join(iter(lambda: stream.read(1000), b""))
        assert inside[: len(data)] == data and len(inside) - len(data) <= 1
        stream.seek(-100, io.SEEK_END)
        assert stream.read(1000) == inside[-100:]
        stream.seek(1234)
        assert stream.read(10) == data[1234:1244] and stream.tell() == 1244


@pytest.mark.parametrize("kind", ["jpeg", "mp4 in fragments"])
def test_run_and_live_take_it(write: Write, tiny_engine: Path, tmp_path: Path, capsys: Any, kind: str) -> None:
    path = objects(write)[kind]
    assert run(["run", str(tiny_engine), str(path), "--masks", str(tmp_path / "masks"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == COUNT
    assert len(list((tmp_path / "masks").iterdir())) == COUNT
    assert len(list(open_live_source(str(path)).frames())) == COUNT


def test_negatives_of_evaluate_may_be_dicom(write: Write, tiny_engine: Path, capsys: Any) -> None:
    path = objects(write)["jpeg"]
    assert run(["evaluate", str(tiny_engine), "--negatives", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["negatives"]["frame_count"] == COUNT


def stills(write: Write, folder: Path, names: tuple[str, ...] = ("IM1", "IM2.dcm", "1.2.840.10")) -> Path:
    """Single pictures as an archive hands them out, with names that do not always tell."""
    folder.mkdir(parents=True)
    for name, picture in zip(names, pictures(len(names)), strict=True):
        write("still.dcm", EXPLICIT, picture.tobytes(), NumberOfFrames=1).rename(folder / name)
    (folder / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    return folder


def test_a_folder_of_stills_is_run(write: Write, tiny_engine: Path, tmp_path: Path, capsys: Any) -> None:
    folder = stills(write, tmp_path / "study")
    assert run(["run", str(tiny_engine), str(folder), "--masks", str(tmp_path / "masks"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 3
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == ["1.2.840.png", "IM1.png", "IM2.png"]
    for path, picture in zip(("IM1", "IM2.dcm", "1.2.840.10"), pictures(3), strict=True):
        np.testing.assert_array_equal(read_rgb(folder / path), picture)
    raw(write).rename(folder / "clip.dcm")
    assert run(["run", str(tiny_engine), str(folder), "--masks", str(tmp_path / "more")]) == 5
    said = capsys.readouterr().err
    assert "clip.dcm holds several pictures" in said and "5 frames of 128x96, RGB" in said
    assert len(list((tmp_path / "more").iterdir())) == 3


def test_images_of_a_data_set_may_be_dicom(write: Write, tmp_path: Path, capsys: Any) -> None:
    stills(write, tmp_path / "set" / "images", ("a.dcm", "b.dcm"))
    for name, picture in zip("ab", pictures(2), strict=True):
        write_png(tmp_path / "set" / "masks" / f"{name}.png", np.where(picture[..., 0] == 255, 255, 0).astype(np.uint8))
    assert run(["data", "inspect", str(tmp_path / "set"), "--json"]) == 0
    (note,) = (text for text in json.loads(capsys.readouterr().out)["notes"] if "DICOM" in text)
    assert note == "2 images are DICOM: 1 frame of 128x96, RGB, 8 bits, Explicit VR Little Endian"
    for pair, picture in zip(load_pairs(tmp_path / "set"), pictures(2), strict=True):
        frame, mask = pair.read()
        np.testing.assert_array_equal(frame, picture)
        assert int(np.count_nonzero(mask)) == 32 * 32


def test_inspect_says_what_dicom_holds(write: Write, tmp_path: Path, capsys: Any) -> None:
    files = objects(write)
    assert run(["data", "inspect", str(files["jpeg"]), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["objects"]
    assert (found["frames"], found["width"], found["height"]) == (COUNT, WIDTH, HEIGHT)
    assert (found["photometric"], found["is_video"]) == ("YBR_FULL_422", False)
    assert found["syntax"].startswith("JPEG Baseline")
    assert run(["data", "inspect", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert text.count(".dcm") == len(files) and "YBR_PARTIAL_420" in text
    (tmp_path / "cut.dcm").write_bytes(files["rgb"].read_bytes()[:400])
    assert run(["data", "inspect", str(tmp_path), "--json"]) == 5
    assert "cut.dcm" in json.loads(capsys.readouterr().out)["problems"][0]


def test_colours_of_a_palette_are_not_taken_for_grey(write: Write) -> None:
    path = write(
        "p.dcm",
        EXPLICIT,
        bytes(HEIGHT * WIDTH),
        SamplesPerPixel=1,
        PhotometricInterpretation="PALETTE COLOR",
        NumberOfFrames=1,
    )
    for read in (read_rgb, open_source):
        with pytest.raises(BadInputError, match="not those of a colour picture") as caught:
            read(path)
        assert "PALETTE COLOR" in str(caught.value.found)


def test_what_is_no_whole_object_is_said(write: Write, tmp_path: Path) -> None:
    whole = raw(write).read_bytes()
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInputError, match="cannot be read as DICOM"):
        list(open_source(cut).frames())
    garbage = tmp_path / "garbage.dcm"
    garbage.write_bytes(b"\0" * 128 + b"DICM" + b"garbage" * 50)
    with pytest.raises(BadInputError, match="cannot be read as DICOM"):
        open_source(garbage)
    grey = {"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "NumberOfFrames": 1}
    bits = {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11}
    deep = write("deep.dcm", EXPLICIT, bytes(2 * HEIGHT * WIDTH), **grey, **bits)
    with pytest.raises(BadInputError, match="not those of a colour picture"):
        open_source(deep)


def test_without_pydicom_the_extra_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = raw(write)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(MissingComponentError) as caught:
        open_source(path)
    assert caught.value.next_command == "pip install 'edgeseg[dicom]'"
    assert run(["data", "inspect", str(path)]) == 4
