"""Opens the live source that a user typed."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs

from edgeseg.dataset import load_images
from edgeseg.errors import BadInputError, UsageError
from edgeseg.images import dicom_facts, is_dicom, is_still
from edgeseg.runtime.live.credentials import without_credentials
from edgeseg.runtime.live.protocols import refuse_missing_srt
from edgeseg.runtime.live.sources.av_connection import AvConnection, open_camera, open_network, open_standard_input
from edgeseg.runtime.live.sources.contract import LiveSource, SourceOptions
from edgeseg.runtime.live.sources.feeds import DicomFeed, FileFeed, ImageFeed
from edgeseg.runtime.live.sources.gstreamer import GstConnection, gst_python, jetson_pipeline
from edgeseg.runtime.live.sources.paced import PacedSource
from edgeseg.runtime.live.sources.reconnecting import ReconnectingSource
from edgeseg.runtime.live.sources.synthetic import SyntheticFeed
from edgeseg.shell import quoted

_NETWORK = re.compile(r"(rtsps?|https?|udp|srt|rtmp(?:s|t|ts)?)://[^\s/]+", re.IGNORECASE)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_CAMERA = re.compile(r"camera:(\d+)|(/dev/video\d+|/dev/v4l/\S+)")
_SYNTHETIC = re.compile(r"synthetic:(?:(\d+)x(\d+))?(?:@(\d+(?:/[1-9]\d*|\.\d+)?))?(?:\?(.*))?")
SOURCES = (
    "rtsp://HOST/PATH, http(s)://HOST/PATH, rtmp://HOST/APP/NAME, udp://@:PORT, srt://HOST:PORT, - (standard input), "
    "camera:0 or /dev/video0, synthetic:[WIDTHxHEIGHT][@RATE][?seed=N], "
    "gst:PIPELINE, a video file, an image or a folder of images"
)
STDIN = "-"
JETSON = "jetson"
"""The `SourceOptions.hardware` that decodes RTSP by GStreamer and nvv4l2decoder."""


def is_live_name(name: str) -> bool:
    """Tell whether a SOURCE argument names something other than a file or folder."""
    return name == STDIN or bool(
        _SCHEME.match(name) or _CAMERA.fullmatch(name) or name.startswith(("gst:", "synthetic:", "camera:"))
    )


def open_live_source(name: str, options: SourceOptions | None = None) -> LiveSource:
    """Make the source that a SOURCE argument names; nothing is connected before `frames` is iterated.

    Args:
        name: See `SOURCES`.
        options: The user's choices.

    Raises:
        UsageError: The name or an option cannot mean anything.
        BadInputError: There is no such file, or it holds no images.
        MissingComponentError: GStreamer is needed, and is not installed.
    """
    options = options or SourceOptions()
    if name.startswith("synthetic:"):
        return _synthetic(name, options)
    if name.startswith("gst:"):
        return _gstreamer(name, name.removeprefix("gst:").strip(), options)
    if (camera := _CAMERA.fullmatch(name)) is not None:
        device = camera[2] or f"/dev/video{camera[1]}"
        return _by_pyav(name, partial(open_camera, device, options), options, "ls /dev/video*")
    if name == STDIN:
        connect = partial(open_standard_input, options)
        return _by_pyav(name, connect, options, "ffmpeg ... -f mpegts - | edgeseg live ENGINE -", opens_once=True)
    if _NETWORK.match(name):
        if name.lower().startswith("srt:"):
            refuse_missing_srt("gst:srtsrc uri=... ! decodebin reads it, or build PyAV over an FFmpeg with libsrt")
        if options.hardware == JETSON:
            return _gstreamer(name, jetson_pipeline(name), options)
        probe = f"ffprobe '{without_credentials(name)}'"
        return _by_pyav(name, partial(open_network, name, options), options, probe)
    if is_live_name(name):
        raise UsageError(f"no kind of source is called {without_credentials(name)}", expected=SOURCES)
    return _of_files(name, options)


def _by_pyav(
    name: str,
    open_container: partial,  # type: ignore[type-arg]
    options: SourceOptions,
    mend: str,
    opens_once: bool = False,
) -> LiveSource:
    return ReconnectingSource(name, lambda: AvConnection(open_container, options), options, mend, opens_once)


def _gstreamer(name: str, pipeline: str, options: SourceOptions) -> LiveSource:
    if not pipeline:
        raise UsageError("gst: without a pipeline", expected="gst:PIPELINE, in the syntax of gst-launch-1.0, no sink")
    gst_python()
    mend = f"gst-launch-1.0 {without_credentials(pipeline)} ! fakesink"
    return ReconnectingSource(name, lambda: GstConnection(pipeline, options), options, mend)


def _synthetic(name: str, options: SourceOptions) -> LiveSource:
    match = _SYNTHETIC.fullmatch(name)
    settings = {} if match is None else parse_qs(match[4] or "", keep_blank_values=True)
    seed = settings.pop("seed", ["0"])[-1]
    if match is None or settings or not seed.isdecimal():
        raise UsageError(
            f"{name} is no synthetic camera", expected="synthetic:1280x720@25?seed=0, or any part of it left out"
        )
    if match[1] is not None:
        options = replace(options, size=(int(match[1]), int(match[2])))
    if match[3] is not None:
        options = replace(options, rate=Fraction(match[3]))
    if options.rate is not None and not 0 < options.rate <= 1000:
        raise UsageError("a camera of that rate", found=options.rate, expected="0 to 1000 frames a second")
    return PacedSource(name, SyntheticFeed(options, int(seed)), options, is_live=True)


def _of_files(name: str, options: SourceOptions) -> LiveSource:
    path = Path(name)
    if path.is_dir():
        return PacedSource(name, ImageFeed(load_images(path), options), options)
    if not path.exists():
        raise BadInputError(
            f"there is no source at {path}", expected=SOURCES, next_command=f"ls {quoted(path.absolute().parent)}"
        )
    if is_still(path):
        return PacedSource(name, ImageFeed([path], options), options)
    if is_dicom(path) and not dicom_facts(path).is_video:
        return PacedSource(name, DicomFeed(path), options)
    return PacedSource(name, FileFeed(path, options), options)
