"""GStreamer pipelines with Debian's plug-ins and software decoders; the Jetson's pipeline is text alone here."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.errors import MissingComponentError
from edgeseg.runtime.live.sources import gstreamer as gstreamer_module
from edgeseg.runtime.live.sources.contract import SourceOptions
from edgeseg.runtime.live.sources.faults import SourceFault, SourceLostError
from edgeseg.runtime.live.sources.gstreamer import GstConnection, _i420, colour_of, gst_python, jetson_pipeline
from edgeseg.runtime.live.sources.source_opening import open_live_source
from tests.cli.traced_box import Box
from tests.conftest import bright_pixel_network

QUICK = SourceOptions(stall_s=2.0, first_pause_s=0.05, longest_pause_s=0.2, first_attempts=2)
CODED = "openh264enc ! h264parse ! avdec_h264"


def raw(width: int, height: int, form: str = "I420", more: str = "") -> str:
    return f"video/x-raw,format={form},width={width},height={height},framerate=25/1{more}"


@pytest.mark.parametrize(("width", "height"), [(160, 120), (161, 121)])
def test_a_decoded_pipeline(gstreamer: None, collect: Any, width: int, height: int) -> None:
    coded = "jpegenc ! jpegdec" if width % 2 else CODED  # H.264 by openh264 wants even sides
    source = open_live_source(f"gst:videotestsrc is-live=true pattern=white ! {raw(width, height)} ! {coded}", QUICK)
    frames = collect(source).wait_for(10)
    picture = frames[-1].picture
    assert (picture.width, picture.height) == (width, height)
    luma, blue, red = picture.planes()
    assert luma.shape == (height + height % 2, width + width % 2)
    assert luma.min() > 230
    assert np.abs(np.stack([blue, red]).astype(int) - 128).max() <= 6
    assert all(before.pts < after.pts for before, after in itertools.pairwise(frames))
    assert all(frame.arrived_ns <= frame.decoded_ns for frame in frames)
    assert source.status().decoder in ("avdec_h264", "jpegdec")
    assert source.timing.rate == 25


def test_ten_bits_of_422_keep_matrix_and_range(gstreamer: None, collect: Any) -> None:
    form = raw(64, 48, "I422_10LE", ",colorimetry=bt709")
    picture = collect(open_live_source(f"gst:videotestsrc is-live=true ! {form}", QUICK)).wait_for(1)[0].picture
    assert (picture.matrix, picture.full_range) == ("bt709", False)


def test_rtsp_through_gstreamer(rtsp_server: Any, collect: Any) -> None:
    url = rtsp_server().url
    pipeline = jetson_pipeline(url).replace("nvv4l2decoder enable-max-performance=true ! nvvidconv", "avdec_h264")
    assert "nv" not in pipeline
    assert collect(open_live_source(f"gst:{pipeline}", QUICK)).wait_for(5)[-1].picture.width == 160


def test_a_pipeline_whose_process_dies_is_started_again(gstreamer: None, collect: Any) -> None:
    connections: list[Any] = []
    source: Any = open_live_source(f"gst:videotestsrc is-live=true ! {raw(64, 48)}", QUICK)
    connect = source._connect
    source._connect = lambda: connections.append(connect()) or connections[-1]
    collector = collect(source)
    collector.wait_for(3)
    os.kill(connections[0]._process.pid, signal.SIGKILL)
    collector.until(lambda: source.status().reconnects == 1)
    assert source.status().last_error == "the GStreamer process died (signal 9)"


def test_a_pipeline_that_hangs_is_started_again(gstreamer: None, collect: Any) -> None:
    connections: list[Any] = []
    source: Any = open_live_source(f"gst:videotestsrc is-live=true ! {raw(64, 48)}", QUICK)
    connect = source._connect
    source._connect = lambda: connections.append(connect()) or connections[-1]
    collector = collect(source)
    collector.wait_for(3)
    os.kill(connections[0]._process.pid, signal.SIGSTOP)
    collector.until(lambda: source.status().reconnects == 1)
    assert source.status().last_error == "no data for 2 s"


def test_the_end_of_a_pipeline_is_a_fault(gstreamer: None, collect: Any) -> None:
    source = open_live_source(f"gst:videotestsrc num-buffers=5 ! {raw(64, 48)}", QUICK)
    collector = collect(source)
    collector.until(lambda: source.status().reconnects >= 1)
    assert source.status().last_error == "the stream ended"


@pytest.mark.parametrize("pipeline", ["nonsense", "filesrc location=nowhere ! decodebin", "videotestsrc ! ! x"])
def test_a_pipeline_that_cannot_run(gstreamer: None, collect: Any, pipeline: str) -> None:
    error = collect(open_live_source(f"gst:{pipeline} user-pw=secret", QUICK)).end()
    assert isinstance(error, SourceLostError)
    assert "secret" not in f"{error} {error.to_dict()}"


def test_no_process_list_shows_the_pipeline(gstreamer: None) -> None:
    connection = GstConnection(f"videotestsrc is-live=true name=secret ! {raw(64, 48)}", QUICK)
    assert not any("secret" in str(part) for part in connection._process.args)  # type: ignore[union-attr]
    connection.close()
    assert connection._process.returncode is not None


@pytest.mark.parametrize(
    ("text", "matrix", "full_range"),
    [
        ("bt709", "bt709", False),
        ("bt601", "bt601", False),
        ("1:4:0:0", "bt601", True),
        ("2:3:5:1", "bt709", False),
        ("bt2020-10", "bt2020", False),
        ("", "bt601", False),
    ],
)
def test_colorimetry(text: str, matrix: str, full_range: bool) -> None:
    assert colour_of(text) == (matrix, full_range)


@pytest.mark.parametrize(
    ("offsets", "strides"),
    [([0, 64, 10_000], [8, 4, 4]), ([0, 64, 80], [8, 4, 400]), ([-8, 64, 80], [8, 4, 4]), ([0, 64, 80], [2, 4, 4])],
)
def test_planes_beyond_their_bytes_are_a_fault_and_never_read(offsets: list[int], strides: list[int]) -> None:
    header = {"width": 8, "height": 8, "offsets": offsets, "strides": strides}
    with pytest.raises(SourceFault, match="inside"):
        _i420(header, np.zeros(96, np.uint8))


def test_without_gstreamer_the_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gstreamer_module, "_PROBE", "raise SystemExit(1)")
    gst_python.cache_clear()
    try:
        with pytest.raises(MissingComponentError) as caught:
            open_live_source("gst:videotestsrc")
    finally:
        gst_python.cache_clear()
    assert "python3-gi" in str(caught.value.next_command)


def test_the_address_cannot_leave_its_quotes() -> None:
    pipeline = jetson_pipeline('rtsp://host/a" ! filesink location="x')
    assert pipeline.count(" ! ") == 6
    assert r'location="rtsp://host/a\" ! filesink location=\"x"' in pipeline


def test_a_pipeline_leaves_no_list_of_plug_ins_behind(
    gstreamer: None, system_program: Callable[..., str], tmp_path: Path
) -> None:
    box = Box(system_program("strace"), tmp_path)
    (box.work / "bright.onnx").write_bytes(bright_pixel_network())
    source = "gst:videotestsrc is-live=true ! video/x-raw,width=64,height=64,framerate=10/1"
    command = [sys.executable, "-m", "edgeseg.cli", "live", "bright.onnx", source, "--seconds", "2", "--out", "o.mp4"]
    done, trace = box.trace(command)
    assert done.returncode == 0 and (box.work / "o.mp4").is_file(), done.stderr
    fonts = f"{box.home}/.cache/fontconfig"  # are the plug-ins' own matter
    kept = [path for path in box.strangers(trace) if not (path.startswith(fonts) or fonts.startswith(path))]
    assert (kept, trace.calls, list(box.temporary.iterdir())) == ([], (), [])
