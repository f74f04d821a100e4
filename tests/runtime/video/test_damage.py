"""Files with a packet of noise: all other pictures are given, and what is missing or doubtful is counted."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from edgeseg.runtime.video.loss import PacketLedger
from edgeseg.runtime.video.video import VideoFile

FRAMES, BAD = 30, 12
CODINGS: dict[str, tuple[str, str, dict[str, str]]] = {
    "mjpeg.avi": ("mjpeg", "yuvj420p", {}),
    "mjpeg.mkv": ("mjpeg", "yuvj420p", {}),
    "mpeg4.avi": ("mpeg4", "yuv420p", {}),
    "vp8.webm": ("libvpx", "yuv420p", {"g": "10", "deadline": "realtime"}),
    "vp9.mkv": ("libvpx-vp9", "yuv420p", {"g": "10", "deadline": "realtime"}),
    "h264.mp4": ("libx264", "yuv420p", {"g": "10", "bf": "0"}),
    "h264.ts": ("libx264", "yuv420p", {"g": "10", "bf": "0"}),
    "h264.mkv": ("libx264", "yuv420p", {"g": "10", "bf": "2"}),
    "hevc.mkv": ("libx265", "yuv420p", {"g": "10", "bf": "0", "x265-params": "log-level=none"}),
    "prores.mov": ("prores_ks", "yuv422p10le", {}),
}
INTRA = ("mjpeg.avi", "mjpeg.mkv", "prores.mov")


def unchanged(index: int, data: bytes) -> bytes:
    return data


def noise_at(*bad: int) -> Callable[[int, bytes], bytes]:
    """Random bytes instead of some packets."""

    def change(index: int, data: bytes) -> bytes:
        return np.random.default_rng(index).bytes(max(64, len(data) // 2)) if index in bad else data

    return change


def encode(path: Path, change: Callable[[int, bytes], bytes] = unchanged) -> Path:
    """Thirty pictures with a red box that moves; `change` may alter the data of a packet."""
    coding, pixels, options = CODINGS[path.name]
    count = 0
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(coding, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 160, 120, pixels

        def put(packets: list[Any]) -> None:
            nonlocal count
            for packet in packets:
                changed = av.Packet(change(count, bytes(packet)))
                changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
                changed.duration, changed.is_keyframe, changed.stream = packet.duration, packet.is_keyframe, stream
                container.mux(changed)
                count += 1

        for index in range(FRAMES):
            image = np.full((120, 160, 3), 96, np.uint8)
            image[10:40, 20 + index : 60 + index] = (255, 0, 0)
            put(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        put(stream.encode(None))
    return path


@pytest.mark.parametrize("name", CODINGS)
def test_a_packet_of_noise_costs_its_own_picture_and_is_counted(tmp_path: Path, name: str) -> None:
    with VideoFile(encode(tmp_path / name, noise_at(BAD))) as video:
        frames = list(video.frames())
        lost = video.lost_frames
    assert lost + len(frames) == FRAMES
    assert lost >= 1 or any(frame.damaged for frame in frames)
    assert not any(frame.damaged for frame in frames[: BAD - 3])
    if name in INTRA:
        assert (lost, [frame for frame in frames if frame.damaged]) == (1, [])


@pytest.mark.parametrize("name", CODINGS)
def test_a_whole_file_has_no_damage(tmp_path: Path, name: str) -> None:
    with VideoFile(encode(tmp_path / name)) as video:
        frames = list(video.frames())
        assert (len(frames), video.lost_frames) == (FRAMES, 0)
    assert not any(frame.damaged for frame in frames)


@pytest.mark.parametrize("name", ["mjpeg.avi", "h264.mp4", "prores.mov"])
@pytest.mark.parametrize("bad", [FRAMES - 4, FRAMES - 2, FRAMES - 1])
def test_noise_near_the_end_takes_no_whole_picture_along(tmp_path: Path, name: str, bad: int) -> None:
    """A decoder of several threads holds pictures back there."""
    with VideoFile(encode(tmp_path / name, noise_at(bad))) as video:
        assert len(list(video.frames())) == FRAMES - 1
        assert video.lost_frames == 1


def test_what_avi_stamps_in_the_order_of_decoding_is_in_order(tmp_path: Path, videos: Any, numbered: Any) -> None:
    images = [numbered.draw(index) for index in range(40)]
    clip = videos.write(tmp_path / "b.avi", images, options={"bf": "2", "b-adapt": "0"})
    with VideoFile(clip) as video:
        frames = list(video.frames())
        assert video.lost_frames == 0
    assert [numbered.read(frame.image) for frame in frames] == list(range(40))
    steps = [after.pts - before.pts for before, after in itertools.pairwise(frames)]
    assert len(set(steps[4:])) == 1  # until it is seen that they are not in order
    assert not any(frame.damaged for frame in frames)


def test_a_recorder_may_pause(tmp_path: Path, videos: Any, numbered: Any) -> None:
    pts = [*range(50), *range(80, 130)]
    for name in ("a.mkv", "a.mp4"):
        with VideoFile(videos.write(tmp_path / name, [numbered.draw(index % 50) for index in pts], pts)) as video:
            assert not any(frame.damaged for frame in video.frames())
            assert video.lost_frames == 0


def test_hidden_frames_and_second_fields_are_no_loss() -> None:
    ledger = PacketLedger(step=40, is_even=False)
    for index in range(20):
        ledger.send(40 * index, index)
        ledger.send(40 * index + 20, index)  # a second field, or a frame that is never shown
        assert ledger.receive(40 * index, 40) == (index, False)
    ledger.finish()
    assert ledger.lost == 0


def test_an_uneven_rate_is_no_loss_and_a_hole_in_an_even_one_is() -> None:
    uneven, even = PacketLedger(step=40, is_even=True), PacketLedger(step=40, is_even=True)
    for pts in (0, 40, 120, 160, 400, 440, 1000):
        uneven.receive(pts, 40)
    for index in [*range(12), *range(15, 20)]:
        even.receive(40 * index, 40)
    assert (uneven.lost, even.lost) == (0, 3)


def test_a_camera_may_leave_frames_out() -> None:
    ledger = PacketLedger(step=40, is_even=False)
    for index in [*range(12), *range(15, 20)]:
        ledger.receive(40 * index, 40)
    assert ledger.lost == 0


def test_a_picture_that_comes_out_of_order_is_not_lost() -> None:
    ledger = PacketLedger(step=40, is_even=False)
    for pts in (0, 40, 80):
        ledger.send(pts, pts)
    for pts in (0, 80, 40):
        ledger.receive(pts, 40)
    assert ledger.lost == 0
