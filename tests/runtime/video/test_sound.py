"""Sound goes from a file into its clips byte for byte and at its time, or is said to be left out."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from edgeseg.cli import run
from edgeseg.runtime.video.video import VideoFile

RATE = 48_000


def with_sound(
    path: Path, numbered: Any, coding: str = "aac", first_s: Fraction = Fraction(0), seconds: int = 2, frames: int = 50
) -> Path:
    """Numbered pictures at 25 a second, and a tone that begins at `first_s`."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "bf": "0"})
        video.width, video.height, video.pix_fmt = 128, 64, "yuv420p"
        sound: Any = container.add_stream(coding, rate=RATE)
        sound.layout = "mono"
        size = 1024
        for index in range(frames):
            container.mux(video.encode(av.VideoFrame.from_ndarray(numbered.draw(index), format="rgb24")))
        container.mux(video.encode(None))
        for index in range(seconds * RATE // size):
            tone = np.sin(np.arange(index * size, (index + 1) * size) * 0.05)
            form = sound.codec_context.format.name
            data = tone.astype(np.float32) if form.startswith("flt") else (tone * 20_000).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(data[None], format=form, layout="mono")
            frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
            frame.pts = index * size + round(first_s * RATE)
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


def heard(path: Path) -> list[tuple[float, bytes]]:
    """Time and bytes of every packet of sound."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size]
        return [(float(packet.pts * packet.time_base), bytes(packet)) for packet in packets]


@pytest.mark.parametrize(
    ("name", "coding"), [("a.mp4", "aac"), ("a.mkv", "aac"), ("a.mkv", "flac"), ("a.mov", "pcm_s16le")]
)
@pytest.mark.parametrize("first_s", [Fraction(0), Fraction(1, 2)])
def test_clips_carry_the_sound_untouched(
    tmp_path: Path, tiny_engine: Path, numbered: Any, name: str, coding: str, first_s: Fraction, capsys: Any
) -> None:
    source = with_sound(tmp_path / name, numbered, coding, first_s)
    out, record = tmp_path / "out.mp4", tmp_path / "record.mp4"
    assert run(["run", str(tiny_engine), str(source), "--out", str(out), "--record", str(record), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sound"] == "carried"
    expected = heard(source)
    for clip in (out, record):
        found = heard(clip)
        assert b"".join(data for _, data in found) == b"".join(data for _, data in expected)
        assert found[0][0] == pytest.approx(expected[0][0], abs=0.03)
        with VideoFile(clip) as video:
            assert len(list(video.frames())) == 50


def test_a_picture_that_begins_later_than_its_sound_stays_later(
    tmp_path: Path, tiny_engine: Path, numbered: Any
) -> None:
    source = with_sound(tmp_path / "a.mkv", numbered, "flac", Fraction(1, 2))
    late = tmp_path / "late.mkv"
    with av.open(str(source)) as given, av.open(str(late), "w") as container:
        streams = {stream.index: container.add_stream_from_template(stream) for stream in given.streams}
        for packet in given.demux():
            if packet.dts is None:
                continue
            later = round(1 / packet.time_base) if packet.stream.type == "video" else 0
            packet.pts, packet.dts = packet.pts + later, packet.dts + later
            packet.stream = streams[packet.stream.index]
            container.mux(packet)
    out = tmp_path / "out.mp4"
    assert run(["run", str(tiny_engine), str(late), "--out", str(out)]) == 0
    with av.open(str(out)) as container:
        first = next(container.decode(video=0))
        assert float(first.pts * first.time_base) == pytest.approx(0.5, abs=0.03)
    assert heard(out)[0][0] == pytest.approx(0, abs=0.03)


def test_a_run_that_stops_early_takes_no_more_sound(tmp_path: Path, tiny_engine: Path, numbered: Any) -> None:
    source, out = with_sound(tmp_path / "a.mkv", numbered), tmp_path / "out.mp4"
    assert run(["run", str(tiny_engine), str(source), "--out", str(out), "--max-frames", "10"]) == 0
    assert 0.2 < heard(out)[-1][0] < 0.45


def test_a_coding_that_mp4_does_not_hold_is_said_to_be_left_out(
    tmp_path: Path, tiny_engine: Path, numbered: Any, capsys: Any
) -> None:
    source, out = with_sound(tmp_path / "a.mov", numbered, "pcm_mulaw"), tmp_path / "out.mp4"
    assert run(["run", str(tiny_engine), str(source), "--out", str(out), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["sound"] == "left out: MP4 does not hold pcm_mulaw"
    assert "left out" in printed.err
    with av.open(str(out)) as container:
        assert not container.streams.audio


def late_sound(path: Path, numbered: Any) -> Path:
    """FLV whose header announces pictures alone; its sound begins after twelve seconds."""
    data = with_sound(path, numbered, first_s=Fraction(12), frames=350).read_bytes()
    announced, out, at = None, bytearray(data[:13]), 13
    out[4] = 1
    while at + 11 <= len(data):
        kind, size = data[at], int.from_bytes(data[at + 1 : at + 4], "big")
        tag, at = data[at : at + 15 + size], at + 15 + size
        if kind == 18:  # a script that announces what comes
            continue
        if kind == 8 and announced is None:  # the coding of the sound, which is to stand before its first data
            announced = tag
            continue
        if kind == 8 and announced:
            out += announced[:4] + tag[4:8] + announced[8:]
            announced = b""
        out += tag
    path.write_bytes(out)
    return path


def test_sound_that_was_not_announced_does_not_end_the_pictures(
    tmp_path: Path, tiny_engine: Path, numbered: Any
) -> None:
    clip = late_sound(tmp_path / "late.flv", numbered)
    with VideoFile(clip) as video:
        numbers = [numbered.read(frame.image) for frame in video.frames()]
    assert numbers == [index % 256 for index in range(350)]
    assert run(["run", str(tiny_engine), str(clip), "--masks", str(tmp_path / "masks")]) == 0
    assert len(list((tmp_path / "masks").iterdir())) == 350
