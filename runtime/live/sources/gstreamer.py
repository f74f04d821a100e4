"""A GStreamer pipeline as a source: it runs in a process of its own (`gst_reader`)."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
import time
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from edgeseg.errors import MissingComponentError
from edgeseg.runtime.engine.planes import Matrix, Plane
from edgeseg.runtime.live.sources import gst_reader
from edgeseg.runtime.live.sources.contract import LIVE_TIME_BASE, SourceOptions
from edgeseg.runtime.live.sources.faults import SourceFault
from edgeseg.runtime.video.decoder import FALLBACK_RATE, Decoded
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import ClipTiming

INSTALL = (
    "sudo apt install python3-gi gir1.2-gstreamer-1.0 gir1.2-gst-plugins-base-1.0 "
    "gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav"
)
_PROBE = "import gi; [gi.require_version(name, '1.0') for name in ('Gst', 'GstApp', 'GstVideo')]"
_PROBE_S = 20.0
_NAMED: dict[str, Matrix] = {"bt709": "bt709", "bt2020": "bt2020", "bt2020-10": "bt2020", "bt2100-pq": "bt2020"}
_NUMBERED: dict[str, Matrix] = {"3": "bt709", "6": "bt2020"}
"""GstVideoColorMatrix -> matrix; all others are taken as BT.601."""
_FULL_RANGE = "1"
"""GST_VIDEO_COLOR_RANGE_0_255 of GStreamer."""
_LARGEST_BYTES = 2**28


@lru_cache(maxsize=1)
def gst_python() -> str:
    """Find an interpreter that has PyGObject and GStreamer: this one, else the system's.

    Raises:
        MissingComponentError: Neither has them.
    """
    for python in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            probe = subprocess.run([python, "-I", "-c", _PROBE], capture_output=True, timeout=_PROBE_S, check=False)
            if probe.returncode == 0:
                return python
    raise MissingComponentError(
        "GStreamer for Python is needed for gst: sources and is not there",
        expected=f"PyGObject with Gst, GstApp and GstVideo in {sys.executable} or /usr/bin/python3",
        next_command=INSTALL,
    )


def jetson_pipeline(url: str, codec: str = "h264") -> str:
    """The pipeline that decodes an RTSP stream on a Jetson's hardware. No Jetson has run it yet.

    Args:
        url: The address.
        codec: ``h264`` or ``h265``.
    """
    quoted = url.replace("\\", "\\\\").replace('"', '\\"')
    return (
        f'rtspsrc location="{quoted}" protocols=tcp latency=50 drop-on-latency=true ! rtp{codec}depay ! {codec}parse '
        "! nvv4l2decoder enable-max-performance=true ! nvvidconv ! video/x-raw,format=I420"
    )


class GstConnection:
    """Gives the pictures of one run of a pipeline.

    Args:
        pipeline: The pipeline in the syntax of gst-launch-1.0, without its sink.
        options: Timeouts.
    """

    skipped = 0
    """Always 0: GStreamer does not count what its sink leaves out."""
    corrupt = 0
    arrival_is_time = False

    def __init__(self, pipeline: str, options: SourceOptions) -> None:
        self._options = options
        self.timing: ClipTiming | None = None
        self.decoder_name = ""
        command = [gst_python(), "-I", str(Path(gst_reader.__file__))]
        self._process = subprocess.Popen(
            command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._write(" ".join(pipeline.split("\n")) + "\n")
        self._header: dict[str, Any] | None = None
        self._expect(gst_reader.HEADER_BYTES)
        self._heard_ns = time.monotonic_ns()

    def next_picture(self, wait_s: float) -> Decoded | None:
        """Wait for the next picture; None if none comes in time.

        Raises:
            SourceFault: The pipeline failed, ended or fell silent, or its process died.
        """
        until_ns = time.monotonic_ns() + round(wait_s * 1e9)
        while self._fill(until_ns):
            self._heard_ns = time.monotonic_ns()
            if self._header is None:
                self._begin(json.loads(bytes(self._target)))
                continue
            header, self._header = self._header, None
            planes = self._target
            self._expect(gst_reader.HEADER_BYTES)
            return self._decoded(header, planes)
        self._refuse_silence()
        return None

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.4)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _write(self, text: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died; reading tells
            self._process.stdin.write(text.encode())

    def _expect(self, size_bytes: int) -> None:
        self._target = np.empty(size_bytes, np.uint8)
        self._filled = 0

    def _fill(self, until_ns: int) -> bool:
        """Tell whether everything that is expected came in time."""
        stdout: IO[bytes] | None = self._process.stdout
        assert stdout is not None
        view = memoryview(self._target.data)
        while self._filled < len(view):
            left_s = max(0.0, (until_ns - time.monotonic_ns()) / 1e9)
            if not select.select([stdout], [], [], left_s)[0]:
                return False
            count = stdout.readinto(view[self._filled :])  # type: ignore[attr-defined]
            if not count:
                raise SourceFault(f"the GStreamer process died ({self._death()})")
            self._filled += count
        return True

    def _death(self) -> str:
        try:
            code = self._process.wait(0.4)
        except subprocess.TimeoutExpired:
            return "no exit code"
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def _begin(self, header: dict[str, Any]) -> None:
        if header["kind"] == "fault":
            raise SourceFault(header["reason"], header["is_permanent"])
        if not 0 < header["bytes"] <= _LARGEST_BYTES:
            raise SourceFault(f"a picture of {header['bytes']} bytes")
        self._header = header
        self._expect(header["bytes"])

    def _decoded(self, header: dict[str, Any], data: Plane) -> Decoded:
        timing = _timing(header)
        self.timing = self.timing if self.timing == timing else timing
        self.decoder_name = header["decoder"] or "GStreamer"
        matrix, full_range = colour_of(header["colorimetry"])
        picture = Picture.of_i420(header["height"], header["width"], _i420(header, data), matrix, full_range)
        time_s = None if header["pts_ns"] is None else Fraction(header["pts_ns"], 10**9)
        return Decoded(picture, time_s, None, header["arrived_ns"], time.monotonic_ns(), header["damaged"])

    def _refuse_silence(self) -> None:
        opening = not self.decoder_name
        limit_s = self._options.stall_s + (2 * self._options.open_timeout_s if opening else 0.0)
        if time.monotonic_ns() - self._heard_ns > limit_s * 1e9:
            raise SourceFault(f"{'no answer' if opening else 'no data'} for {limit_s:g} s")


def colour_of(colorimetry: str) -> tuple[Matrix, bool]:
    """Read matrix and full range from GStreamer's colorimetry.

    Args:
        colorimetry: A name, or ``range:matrix:transfer:primaries`` in numbers.
    """
    parts = colorimetry.split(":")
    if len(parts) == 4:
        return _NUMBERED.get(parts[1], "bt601"), parts[0] == _FULL_RANGE
    return _NAMED.get(colorimetry, "bt601"), False


def _timing(header: dict[str, Any]) -> ClipTiming:
    numerator, denominator = header["rate"]
    rate = Fraction(numerator, denominator) if numerator and denominator else FALLBACK_RATE
    width, height = header["aspect"]
    aspect = Fraction(width, height) if width and height else Fraction(1)
    return ClipTiming(LIVE_TIME_BASE, rate, states_matrix=bool(header["colorimetry"]), sample_aspect_ratio=aspect)


def _i420(header: dict[str, Any], data: Plane) -> Plane:
    """Take the padding of the lines out of the planes, whose sides become even.

    Raises:
        SourceFault: The planes would reach beyond the bytes: the process that wrote them is no better than
            its plug-ins.
    """
    height, width = header["height"], header["width"]
    rows, columns = height + height % 2, width + width % 2
    i420 = np.empty((rows * 3 // 2, columns), np.uint8)
    chroma = i420[rows:].reshape(2, rows // 2, columns // 2)
    sizes = ((height, width), (rows // 2, columns // 2), (rows // 2, columns // 2))
    for place, (offset, stride, (lines, samples)) in enumerate(
        zip(header["offsets"], header["strides"], sizes, strict=True)
    ):
        if offset < 0 or stride < samples or offset + stride * (lines - 1) + samples > len(data):
            raise SourceFault("a picture whose planes do not lie inside its bytes")
        starts = data[offset : offset + stride * lines]
        plane = np.lib.stride_tricks.as_strided(starts, (lines, samples), (stride, 1), writeable=False)
        (i420[:height, :width] if place == 0 else chroma[place - 1])[:] = plane
    i420[height:rows, :width] = i420[height - 1, :width]
    i420[:rows, width:] = i420[:rows, width - 1 : width]
    return i420
