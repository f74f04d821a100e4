"""The flags of `edgeseg run` and `edgeseg live`: their types, and what the help says of each."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class OverlayChoice(str, Enum):
    """The ways to draw a mask on the pictures; typer wants an Enum."""

    contour = "contour"
    fill = "fill"
    heat = "heat"
    off = "off"


class Deinterlacing(str, Enum):
    """When lines of two fields are joined."""

    auto = "auto"
    on = "on"
    off = "off"


RECORDING, LIVE, PAGE, WATCH = "What is kept", "Live", "The page", "The drift watch"
LONGEST_MS = 5000
"""Longest `--delay-ms`, because pictures wait in memory, and longest `--max-mask-age-ms`, because tissue moves."""

EngineArgument = Annotated[
    Path, typer.Argument(metavar="ENGINE", help="The .engine file, its passport beside it; or a MODEL.")
]
FileSourceArgument = Annotated[str, typer.Argument(metavar="SOURCE", help="A video file or a folder of images.")]
LiveSourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="rtsp://..., http(s)://..., camera:0, /dev/video0, synthetic:1280x720@25, gst:PIPELINE, or a file, which "
        "is played at its own pace.",
    ),
]
OutFlag = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.mp4",
        rich_help_panel=RECORDING,
        help="Video with the overlay to write; a name without a suffix makes a folder of images.",
    ),
]
MasksFlag = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        rich_help_panel=RECORDING,
        help="Folder for the masks, PNG at each frame's size; live also FILE.jsonl with COCO run lengths.",
    ),
]
RecordFlag = Annotated[
    Path | None,
    typer.Option(metavar="FILE.mp4", rich_help_panel=RECORDING, help="Video to write as it came, without overlay."),
]
OverlayFlag = Annotated[
    OverlayChoice, typer.Option(help="How to draw the mask: as border, tint, probabilities or not at all.")
]
LatencyFlag = Annotated[
    Path | None,
    typer.Option(metavar="FILE", rich_help_panel=RECORDING, help="Times of every stage to write (JSON)."),
]
MaxFramesFlag = Annotated[int | None, typer.Option(metavar="N", min=1, help="Stop after N frames.")]
SyncFlag = Annotated[
    bool,
    typer.Option(
        "--sync/--low-latency",
        rich_help_panel=LIVE,
        help="Show each frame a fixed time later with its own mask, or at once with the newest mask.",
    ),
]
DelayMsFlag = Annotated[
    float | None,
    typer.Option(
        metavar="MS", min=1, max=LONGEST_MS, rich_help_panel=LIVE, help="Delay of --sync; measured by default."
    ),
]
MaxMaskAgeMsFlag = Annotated[
    float | None,
    typer.Option(
        metavar="MS",
        min=1,
        max=LONGEST_MS,
        rich_help_panel=LIVE,
        help="Take a mask down when its frame is older than this; by default inference and two frame periods.",
    ),
]
GateFlag = Annotated[
    bool,
    typer.Option(
        "--gate/--no-gate",
        rich_help_panel=LIVE,
        help="Hold masks back where no tissue is seen: black, blurred, ...",
    ),
]
RecordGatedFlag = Annotated[
    bool,
    typer.Option(
        "--record-gated/--no-record-gated",
        rich_help_panel=LIVE,
        help="Record frames that show no tissue (a face, a room), too.",
    ),
]
StabiliseFlag = Annotated[
    bool, typer.Option("--stabilise", rich_help_panel=LIVE, help="Steady masks along the motion of the picture.")
]
EventsFlag = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.jsonl",
        rich_help_panel=LIVE,
        help="Log of what appears and leaves, with thumbnails beside it.",
    ),
]
SendToFlag = Annotated[
    list[str] | None,
    typer.Option(
        metavar="URL", rich_help_panel=LIVE, help="Send the picture with its overlay on: rtsp, rtmp, udp, tcp, HLS."
    ),
]
SparesFlag = Annotated[
    int,
    typer.Option(
        min=0, max=4, rich_help_panel=LIVE, help="Number of loaded engine processes that stand ready to take over."
    ),
]
ThreadsFlag = Annotated[
    int, typer.Option(min=0, rich_help_panel=LIVE, help="Threads inside one inference on a CPU; 0 takes every core.")
]
SecondsFlag = Annotated[
    float | None, typer.Option(metavar="S", min=0.1, rich_help_panel=LIVE, help="Stop after this many seconds.")
]
SizeFlag = Annotated[str | None, typer.Option(metavar="WxH", rich_help_panel=LIVE, help="What a camera is asked for.")]
RateFlag = Annotated[
    float | None, typer.Option(metavar="FPS", min=0.1, rich_help_panel=LIVE, help="What a camera is asked for.")
]
LoopFlag = Annotated[bool, typer.Option("--loop", rich_help_panel=LIVE, help="Start a file again at its end.")]
DeinterlaceFlag = Annotated[
    Deinterlacing,
    typer.Option(help="Make combed pictures whole: where the video says that it is interlaced, always or never."),
]
HardwareFlag = Annotated[
    str,
    typer.Option(
        metavar="DEVICE",
        rich_help_panel=LIVE,
        help="Decode with cuda, vaapi, ...; jetson decodes by GStreamer. Falls back to software.",
    ),
]
WebFlag = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", rich_help_panel=PAGE, help="Serve the live page there, for example 127.0.0.1:8080."
    ),
]
TokenFileFlag = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=PAGE,
        help="File with the token that viewers must show, instead of EDGESEG_TOKEN; needed off loopback.",
    ),
]
TlsCertificateFlag = Annotated[
    Path | None, typer.Option(metavar="FILE.pem", rich_help_panel=PAGE, help="Certificate for https, with --tls-key.")
]
TlsKeyFlag = Annotated[
    Path | None, typer.Option(metavar="FILE.pem", rich_help_panel=PAGE, help="Key of --tls-certificate.")
]
ReferenceFlag = Annotated[
    Path | None,
    typer.Option(
        metavar="MODEL",
        rich_help_panel=WATCH,
        help="Show some frames to this model too, at low priority: .onnx, package or engine.",
    ),
]
ReferenceEveryFlag = Annotated[
    int,
    typer.Option(
        metavar="N", min=1, rich_help_panel=WATCH, help="Show the reference every N-th frame that the engine segmented."
    ),
]
StatisticsFlag = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.json",
        rich_help_panel=WATCH,
        help="Statistics of the training pictures (edgeseg data statistics); a package has its own.",
    ),
]
FallBackFlag = Annotated[
    bool,
    typer.Option(
        "--fall-back", rich_help_panel=WATCH, help="Switch to --reference when the engine drifts away from it."
    ),
]
LogJsonFlag = Annotated[
    bool, typer.Option("--log-json", rich_help_panel=LIVE, help="Log JSON lines on stderr, for a machine to read.")
]
