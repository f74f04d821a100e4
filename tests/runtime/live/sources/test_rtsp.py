"""A real RTSP server that refuses, dies, returns, stalls, wants a password or sends no video."""

from __future__ import annotations

import itertools
import socket
import traceback
from typing import Any

import pytest

from edgeseg.runtime.live.sources.contract import LIVE_TIME_BASE, SourceOptions
from edgeseg.runtime.live.sources.faults import SourceLostError
from edgeseg.runtime.live.sources.source_opening import open_live_source

QUICK = SourceOptions(open_timeout_s=5.0, stall_s=1.0, first_pause_s=0.05, longest_pause_s=0.2, attempts=1000)
PASSWORD = "h8s/p@ss"


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def strictly_increasing(frames: list[Any]) -> bool:
    return all(before.pts < after.pts for before, after in itertools.pairwise(frames))


def test_frames_come_as_planes_with_growing_times(rtsp_server: Any, collect: Any) -> None:
    source = open_live_source(rtsp_server().url, QUICK)
    frames = collect(source).wait_for(30)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert strictly_increasing(frames)
    picture = frames[-1].picture
    assert (picture.height, picture.width, picture.i420.shape) == (120, 160, (180, 160))
    assert picture.i420[:120].max() > 200  # the ball of the test picture, white on black
    assert frames[-1].arrived_ns <= frames[-1].decoded_ns
    steps = [(after.pts - before.pts) * LIVE_TIME_BASE for before, after in itertools.pairwise(frames)]
    assert sorted(steps)[len(steps) // 2] == pytest.approx(1 / 25, abs=0.003)
    status = source.status()
    assert (status.state, status.height, status.width, status.decoder) == ("connected", 120, 160, "h264")


def test_a_server_that_dies_and_returns(rtsp_server: Any, collect: Any) -> None:
    server = rtsp_server()
    source = open_live_source(server.url, QUICK)
    collector = collect(source)
    collector.wait_for(10)
    server.kill()
    collector.until(lambda: "refused" in source.status().last_error)
    assert source.status().state == "reconnecting"
    before = len(collector.frames)
    rtsp_server(port=server.port)
    frames = collector.wait_for(before + 10)
    assert strictly_increasing(frames)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    gap, last = frames[before], frames[before - 1]
    away_s = (gap.arrived_ns - last.arrived_ns) / 1e9
    assert float((gap.pts - last.pts) * LIVE_TIME_BASE) == pytest.approx(away_s, abs=0.5)
    assert (source.status().state, source.status().reconnects) == ("connected", 1)


def test_a_server_that_stalls_and_goes_on(rtsp_server: Any, collect: Any) -> None:
    server = rtsp_server()
    source = open_live_source(server.url, QUICK)
    collector = collect(source)
    collector.wait_for(10)
    server.stall()
    collector.until(lambda: source.status().state == "reconnecting")
    assert source.status().last_error == "no data for 1 s"
    before = len(collector.frames)
    server.go_on()
    assert strictly_increasing(collector.wait_for(before + 10))
    assert source.status().reconnects == 1


def test_closing_does_not_wait_for_a_silent_server(rtsp_server: Any, collect: Any) -> None:
    server = rtsp_server()
    source = open_live_source(server.url, SourceOptions(stall_s=500))
    collector = collect(source)
    collector.wait_for(5)
    server.stall()
    source.close()
    collector.thread.join(10)
    assert not collector.thread.is_alive()
    assert collector.error is None
    assert source.status().state == "ended"


def test_nobody_listens(collect: Any) -> None:
    source = open_live_source(f"rtsp://127.0.0.1:{free_port()}/live", QUICK)
    error = collect(source).end()
    assert isinstance(error, SourceLostError)
    assert error.exit_code == 5
    assert error.found == "refused: nothing listens there (3 of 3 attempts)"


def test_a_server_that_never_answers(collect: Any) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        options = SourceOptions(open_timeout_s=0.5, stall_s=0.5, first_pause_s=0.01, first_attempts=2)
        error = collect(open_live_source(f"rtsp://127.0.0.1:{listening.getsockname()[1]}/x", options)).end()
    assert isinstance(error, SourceLostError)
    assert "(2 of 2 attempts)" in str(error.found)
    assert "no answer for 0.5 s" in str(error.found)


def test_a_stream_that_is_not_there_is_told_at_once(rtsp_server: Any, collect: Any) -> None:
    error = collect(open_live_source(rtsp_server().url + "s", QUICK)).end()
    assert isinstance(error, SourceLostError)
    assert error.found == "the server has no stream of this name (404) (1 of 3 attempts)"


def test_sound_alone_is_told(rtsp_server: Any, collect: Any) -> None:
    server = rtsp_server("audiotestsrc is-live=true ! mulawenc ! rtppcmupay name=pay0 pt=0")
    error = collect(open_live_source(server.url, QUICK)).end()
    assert isinstance(error, SourceLostError)
    assert "no video" in str(error.found)


def address_with(password: str, url: str) -> str:
    return url.replace("rtsp://", f"rtsp://doctor:{password}@")


def test_a_password_opens_and_is_never_shown(rtsp_server: Any, collect: Any) -> None:
    server = rtsp_server(user="doctor", password="hush-hush")
    source = open_live_source(address_with("hush-hush", server.url), QUICK)
    collect(source).wait_for(3)
    shown = f"{source.name} {source!r} {source.status()} {source.timing}"
    assert "hush" not in shown
    assert source.name == f"rtsp://***@127.0.0.1:{server.port}/live"


@pytest.mark.parametrize("password", ["wrong-one", PASSWORD])
def test_a_wrong_password_is_told_and_not_shown(rtsp_server: Any, collect: Any, password: str) -> None:
    server = rtsp_server(user="doctor", password="hush-hush")
    source = open_live_source(address_with(password, server.url), QUICK)
    error = collect(source).end()
    assert isinstance(error, SourceLostError)
    shown = "".join(traceback.format_exception(error)) + str(error) + repr(error) + repr(source.status())
    shown += str(error.to_dict())
    assert password not in shown
    assert "p@ss" not in shown
    if password != PASSWORD:  # a slash ends the host for FFmpeg
        assert "401" in shown


def test_data_that_is_no_video_is_told(rtsp_server: Any, collect: Any, sent: Any) -> None:
    server = rtsp_server(sent(encode="rtpgstpay name=pay0 pt=96"))
    error = collect(open_live_source(server.url, QUICK)).end()
    assert isinstance(error, SourceLostError)
    assert error.found == "the stream holds no video (data) (1 of 3 attempts)"
