"""Streams with losses, new sizes, combed pictures and odd clocks, each made here by PyAV."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from edgeseg.runtime.video.decoder import ArrivedPacket, Decoded, PacketDecoder, facts_of

LOW = {"preset": "ultrafast", "tune": "zerolatency", "g": "10", "bf": "0"}


def decoded(path: Path, change: Callable[[int, Any], Any] = lambda index, packet: packet, **settings: Any) -> Any:
    """All pictures of a file, and the decoder; `change` may alter a packet, or leave it out by None."""
    pictures: list[Decoded] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = PacketDecoder(facts_of(container, stream, live=True), settings.get("deinterlace", "auto"))
        packets = (packet for packet in container.demux(stream) if packet.size)
        for index, packet in enumerate(packets):
            changed = change(index, packet)
            if changed is not None:
                pictures += decoder.decode(ArrivedPacket(changed, arrived_ns=1000 + index))
        pictures += decoder.flush()
    return pictures, decoder


def numbers(numbered: Any, pictures: list[Decoded]) -> list[int]:
    return [numbered.read(entry.picture.bgr) for entry in pictures]


@pytest.fixture
def clip(tmp_path: Path, numbered: Any, videos: Any) -> Path:
    images = [numbered.draw(number) for number in range(30)]
    path: Path = videos.write(tmp_path / "clip.mkv", images, options=LOW)
    return path


def broken(packet: Any, from_byte: int = 6) -> Any:
    data = bytearray(bytes(packet))
    data[from_byte:] = b"\xff" * (len(data) - from_byte)
    changed = av.Packet(bytes(data))
    changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
    return changed


def test_every_frame_comes_with_its_own_arrival(clip: Path, numbered: Any) -> None:
    pictures, decoder = decoded(clip)
    assert numbers(numbered, pictures) == list(range(30))
    assert [entry.arrived_ns for entry in pictures] == [1000 + index for index in range(30)]
    assert not any(entry.damaged for entry in pictures)
    assert decoder.corrupt == 0


def test_reordered_frames_keep_the_arrival_of_their_own_data(tmp_path: Path, numbered: Any, videos: Any) -> None:
    options = {"preset": "veryfast", "bf": "2", "b-adapt": "0", "g": "12"}
    path = videos.write(tmp_path / "b.mkv", [numbered.draw(number) for number in range(24)], options=options)
    with av.open(str(path)) as container:
        order = [packet.pts for packet in container.demux(video=0) if packet.size]
    pictures, _ = decoded(path)
    assert numbers(numbered, pictures) == list(range(24))
    assert order != sorted(order)
    assert [entry.arrived_ns for entry in pictures] == [1000 + order.index(entry.pts) for entry in pictures]


def test_a_broken_packet_is_left_out_and_counted(clip: Path, numbered: Any) -> None:
    pictures, decoder = decoded(clip, lambda index, packet: broken(packet) if index == 13 else packet)
    assert decoder.corrupt >= 1 or any(entry.damaged for entry in pictures)
    seen = numbers(numbered, pictures)
    assert seen[:13] == list(range(13))
    assert seen[-10:] == list(range(20, 30))  # whole again from the next key frame on
    assert not any(entry.damaged for entry in pictures[-10:])
    doubtful = [entry for entry in pictures if 1013 <= entry.arrived_ns < 1020]
    assert all(entry.damaged for entry in doubtful)


@pytest.mark.parametrize("size", [1, 3, 40])
def test_noise_instead_of_data_never_ends_it(clip: Path, size: int) -> None:
    noise = np.random.default_rng(size)

    def change(index: int, packet: Any) -> Any:
        if index % 3:
            return packet
        changed = av.Packet(noise.bytes(size))
        changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
        return changed

    _, decoder = decoded(clip, change)
    assert decoder.corrupt >= 0  # it got here


def test_joining_between_key_frames_is_no_damage(clip: Path, numbered: Any) -> None:
    pictures, decoder = decoded(clip, lambda index, packet: None if index < 5 else packet)
    assert decoder.corrupt == 0
    assert numbers(numbered, pictures)[-20:] == list(range(10, 30))
    assert not any(entry.damaged for entry in pictures[-20:])


def test_a_new_size_in_mid_stream(tmp_path: Path, numbered: Any, videos: Any) -> None:
    """As an encoder that is switched over sends it: one raw stream after the other."""
    sizes = ((64, 128), (96, 160), (50, 66))
    raw = b""
    for height, width in sizes:
        images = [numbered.draw(number, height, width) for number in range(10)]
        raw += videos.write(tmp_path / f"{width}.h264", images, options=LOW).read_bytes()
    path = tmp_path / "all.h264"
    path.write_bytes(raw)
    pictures, _ = decoded(path)
    found = [(entry.picture.height, entry.picture.width) for entry in pictures]
    assert found == [size for size in sizes for _ in range(10)]
    assert numbers(numbered, pictures) == [*range(10)] * 3


def combed_clip(tmp_path: Path, videos: Any, says_so: bool) -> Path:
    """A bar that is elsewhere in the odd rows than in the even ones."""
    images = []
    for index in range(12):
        image = np.full((64, 128, 3), 40, np.uint8)
        image[0::2, 8 * index : 8 * index + 24] = 220
        image[1::2, 8 * index + 4 : 8 * index + 28] = 220
        images.append(image)
    options = {"preset": "ultrafast", "crf": "4"} | ({"x264-params": "interlaced=1:tff=1"} if says_so else {})
    path: Path = videos.write(tmp_path / "combed.mkv", images, options=options)
    return path


def combing(picture: Any) -> float:
    """How much neighbouring rows differ where those two apart do not."""
    luma = picture.planes()[0].astype(int)
    return float(np.abs(2 * luma[1:-1] - luma[:-2] - luma[2:]).mean())


@pytest.mark.parametrize(
    ("says_so", "mode", "is_whole"),
    [(True, "auto", True), (True, "off", False), (False, "auto", False), (False, "on", True)],
)
def test_combed_pictures(tmp_path: Path, videos: Any, says_so: bool, mode: str, is_whole: bool) -> None:
    pictures, _ = decoded(combed_clip(tmp_path, videos, says_so), deinterlace=mode)
    assert len(pictures) == 12
    assert [entry.arrived_ns for entry in pictures] == sorted(entry.arrived_ns for entry in pictures)
    middle = [combing(entry.picture) for entry in pictures[3:9]]
    assert max(middle) < 12 if is_whole else min(middle) > 16


def test_ten_bits_interlaced_with_a_new_size(tmp_path: Path, videos: Any) -> None:
    raw = b""
    for width in (128, 160):
        images = [np.full((64, width, 3), 100, np.uint8)] * 4
        options = LOW | {"x264-params": "interlaced=1:tff=1"}

        def deep(stream: Any) -> None:
            stream.pix_fmt = "yuv422p10le"

        raw += videos.write(tmp_path / f"{width}.h264", images, options=options, prepare=deep).read_bytes()
    path = tmp_path / "all.h264"
    path.write_bytes(raw)
    pictures, _ = decoded(path)
    assert [entry.picture.width for entry in pictures] == [128] * 4 + [160] * 4
    assert all(np.abs(entry.picture.bgr.astype(int) - 100).max() <= 4 for entry in pictures)


def test_times_are_the_streams_own(tmp_path: Path, numbered: Any, videos: Any) -> None:
    pts = [0, 1, 5, 6, 30]
    images = [numbered.draw(number) for number in range(5)]
    path = videos.write(tmp_path / "vfr.mkv", images, pts=pts, time_base=Fraction(1, 100), options=LOW)
    pictures, _ = decoded(path)
    assert [entry.time_s for entry in pictures] == [Fraction(time, 100) for time in pts]


@pytest.mark.parametrize("number", [1, 9])
def test_a_deinterlaced_picture_keeps_its_matrix(tmp_path: Path, videos: Any, number: int) -> None:
    def name_matrix(stream: Any) -> None:
        stream.codec_context.colorspace = number

    options = LOW | {"x264-params": "interlaced=1:tff=1"}
    images = [np.full((64, 128, 3), 90, np.uint8)] * 6
    pictures, decoder = decoded(videos.write(tmp_path / "a.mkv", images, options=options, prepare=name_matrix))
    assert {entry.picture.matrix for entry in pictures} == {{1: "bt709", 9: "bt2020"}[number]}
    assert decoder.timing.states_matrix
