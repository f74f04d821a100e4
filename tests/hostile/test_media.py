"""Pictures and videos that hung, or took gigabytes, before they were fuzzed."""

from __future__ import annotations

import io
import os
import resource
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.fuzz import corpus
from edgeseg.errors import BadInputError
from edgeseg.images import dicom_facts, list_images, read_rgb
from edgeseg.images.damage import jpeg_damage
from edgeseg.inspection import inspect_dataset
from edgeseg.runtime.video.video_files import open_source


@pytest.mark.timeout(30)
def test_a_pipe_among_pictures_is_a_problem_and_is_not_waited_for(tmp_path: Path) -> None:
    corpus.write_pairs(tmp_path)
    (tmp_path / "images" / "c.png").unlink()
    os.mkfifo(tmp_path / "images" / "c.png")
    os.mkfifo(tmp_path / "images" / "IM000001")
    assert [path.name for path in list_images(tmp_path / "images")] == ["a.png", "b.png", "c.png"]
    with pytest.raises(BadInputError, match="cannot read the image") as caught:
        read_rgb(tmp_path / "images" / "c.png")
    assert "no regular file" in str(caught.value.found)
    assert any("no regular file" in problem for problem in inspect_dataset(tmp_path).problems)


def test_a_picture_that_is_scanned_thousands_of_times_is_refused_at_once(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (2000, 2000), (90, 100, 110)).save(stream, "JPEG", progressive=True)
    sound = stream.getvalue()
    scan = sound[sound.rfind(b"\xff\xda") : -2]
    (tmp_path / "a.jpg").write_bytes(sound[:-2] + scan * 2000 + b"\xff\xd9")
    started_s = time.process_time()
    with pytest.raises(BadInputError, match="cut off or damaged") as caught:
        read_rgb(tmp_path / "a.jpg")
    assert time.process_time() - started_s < 2.0 and "2010 scans" in str(caught.value.found)
    assert jpeg_damage(sound) is None
    (tmp_path / "a.jpg").write_bytes(sound + b"\xff\xda" * 500)  # what follows the end is nobody's
    assert read_rgb(tmp_path / "a.jpg").shape == (2000, 2000, 3)


def test_dicom_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom", reason="pip install 'edgeseg[dicom]'")
    deflated = corpus.dicom()[2]
    head = 132 + 12 + pydicom.dcmread(io.BytesIO(deflated)).file_meta.FileMetaInformationGroupLength
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = packer.compress(zlib.decompress(deflated[head:], -15)) + packer.compress(bytes(150_000_000))
    (tmp_path / "a.dcm").write_bytes(deflated[:head] + packed + packer.flush())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadInputError, match="cannot be read as DICOM") as caught:
        dicom_facts(tmp_path / "a.dcm")
    assert "Deflated" in str(caught.value.found)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", ["a.mp4", "a.m3u8", "a.dcm"])
@pytest.mark.parametrize(
    "content",
    [
        None,
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\npipe.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile pipe.ts\n",
        "\ufeffffconcat version 1.0\nfile pipe.ts\n",
    ],
)
def test_neither_a_pipe_nor_a_list_of_pipes_is_waited_for(tmp_path: Path, name: str, content: str | None) -> None:
    os.mkfifo(tmp_path / "pipe.ts")
    os.mkfifo(tmp_path / name) if content is None else (tmp_path / name).write_text(content)
    with pytest.raises(BadInputError, match=name.replace(".", r"\.")) as caught:
        open_source(tmp_path / name)
    if name != "a.dcm":
        assert ("no regular file" if content is None else "playlist") in str(caught.value)


def test_frames_of_a_sound_video_are_still_all_there(tmp_path: Path) -> None:
    for index, data in enumerate(corpus.videos()):
        (tmp_path / f"{index}.bin").write_bytes(data)
        with open_source(tmp_path / f"{index}.bin") as source:
            assert (
                sum(np.prod((frame.picture.height, frame.picture.width)) == 64 * 64 for frame in source.frames()) == 12
            )
