"""`edgeseg run`."""

from __future__ import annotations

from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from edgeseg.cli.config_file import ConfigFile
from edgeseg.cli.model_argument import WeightsOption
from edgeseg.cli.output import JsonFlag
from edgeseg.errors import UsageError


class OverlayChoice(str, Enum):
    """What is drawn on the pictures; typer wants an Enum."""

    contour = "contour"
    fill = "fill"
    heat = "heat"
    off = "off"


class Pace(str, Enum):
    """How fast frames are taken."""

    fast = "fast"
    live = "live"


class Deinterlacing(str, Enum):
    """When lines of two fields are joined."""

    auto = "auto"
    on = "on"
    off = "off"


RECORDING, LIVE, PAGE, WATCH = "What is kept", "Live", "The page", "The drift watch"


def run(
    engine: Annotated[
        Path, typer.Argument(metavar="ENGINE", help="The .engine file, its passport beside it; or a MODEL.")
    ],
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A video file or a folder of images; live: rtsp://..., http(s)://..., camera:0, /dev/video0, "
            "synthetic:1280x720@25, gst:PIPELINE.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.mp4",
            rich_help_panel=RECORDING,
            help="Where the video with the overlay goes; a name without suffix makes a folder.",
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel=RECORDING,
            help="Where the masks go, PNG at each frame's size; live also FILE.jsonl, COCO run lengths.",
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.mp4", rich_help_panel=RECORDING, help="Where the video goes as it came, without overlay."
        ),
    ] = None,
    weights: WeightsOption = None,
    overlay: Annotated[
        OverlayChoice, typer.Option(help="What is shown of the mask: border, tint, probabilities or nothing.")
    ] = OverlayChoice.contour,
    latency: Annotated[
        Path | None,
        typer.Option(metavar="FILE", rich_help_panel=RECORDING, help="Where the times of every stage go, JSON."),
    ] = None,
    max_frames: Annotated[int | None, typer.Option(metavar="N", min=1, help="Stop after N frames.")] = None,
    pace: Annotated[
        Pace | None,
        typer.Option(
            help="fast: every frame, none lost; live: as frames come. Files default to fast.", show_default=False
        ),
    ] = None,
    sync: Annotated[
        bool,
        typer.Option(
            "--sync/--low-latency",
            rich_help_panel=LIVE,
            help="Show each frame a fixed time later with its own mask, or at once with the newest mask.",
        ),
    ] = False,
    delay_ms: Annotated[
        float | None,
        typer.Option(metavar="MS", min=1, rich_help_panel=LIVE, help="The delay of --sync; measured if left out."),
    ] = None,
    max_mask_age_ms: Annotated[
        float | None,
        typer.Option(
            metavar="MS",
            min=1,
            rich_help_panel=LIVE,
            help="Take a mask down when its frame is older; inference and two frame periods if left out.",
        ),
    ] = None,
    gate: Annotated[
        bool,
        typer.Option(
            "--gate/--no-gate",
            rich_help_panel=LIVE,
            help="Hold masks back where no tissue is seen: black, blurred, ...",
        ),
    ] = True,
    record_gated: Annotated[
        bool,
        typer.Option(
            "--record-gated/--no-record-gated",
            rich_help_panel=LIVE,
            help="Whether frames that show no tissue (a face, a room) may be recorded.",
        ),
    ] = True,
    stabilise: Annotated[
        bool, typer.Option("--stabilise", rich_help_panel=LIVE, help="Steady masks along the motion of the picture.")
    ] = False,
    events: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl",
            rich_help_panel=LIVE,
            help="Where it is noted when something appears and leaves, thumbnails beside it.",
        ),
    ] = None,
    send_to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL", rich_help_panel=LIVE, help="Send the picture with its overlay on: rtsp, rtmp, udp, tcp, HLS."
        ),
    ] = None,
    spares: Annotated[
        int,
        typer.Option(min=0, max=4, rich_help_panel=LIVE, help="Loaded engine processes that stand ready to take over."),
    ] = 1,
    threads: Annotated[
        int, typer.Option(min=0, rich_help_panel=LIVE, help="Of one inference on a CPU; 0 takes every core.")
    ] = 0,
    seconds: Annotated[
        float | None, typer.Option(metavar="S", min=0.1, rich_help_panel=LIVE, help="Stop after so long.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", rich_help_panel=LIVE, help="What a camera is asked for.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="FPS", min=0.1, rich_help_panel=LIVE, help="What a camera is asked for.")
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", rich_help_panel=LIVE, help="Begin a file anew at its end.")] = False,
    deinterlace: Annotated[
        Deinterlacing, typer.Option(rich_help_panel=LIVE, help="auto: where the stream says that it is interlaced.")
    ] = Deinterlacing.auto,
    hardware: Annotated[
        str,
        typer.Option(
            metavar="DEVICE",
            rich_help_panel=LIVE,
            help="Decode with cuda, vaapi, ...; jetson: by GStreamer. Falls back.",
        ),
    ] = "off",
    web: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", rich_help_panel=PAGE, help="Serve the live page there, for example 127.0.0.1:8080."
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=PAGE,
            help="Holds the token that viewers must show; else EDGESEG_TOKEN. Needed off loopback.",
        ),
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(metavar="FILE.pem", rich_help_panel=PAGE, help="For https, with --tls-key.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE.pem", rich_help_panel=PAGE, help="Its key.")] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            rich_help_panel=WATCH,
            help="Show some frames to this model too, at low priority: .onnx, package or engine.",
        ),
    ] = None,
    reference_every: Annotated[
        int, typer.Option(metavar="N", min=1, rich_help_panel=WATCH, help="Every n-th frame that the engine segmented.")
    ] = 50,
    statistics: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            rich_help_panel=WATCH,
            help="How the training pictures looked (edgeseg data statistics); a package has its own.",
        ),
    ] = None,
    fall_back: Annotated[
        bool,
        typer.Option(
            "--fall-back", rich_help_panel=WATCH, help="Go over to --reference when the engine drifts away from it."
        ),
    ] = False,
    config: ConfigFile = None,
    log_json: Annotated[
        bool, typer.Option("--log-json", rich_help_panel=LIVE, help="Log JSON lines on stderr, for a machine to read.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Segment video: a file or folder frame by frame, none lost; a live source without ever holding up its picture.

    Files keep every frame, its order and its timestamp. Live, the newest frame is shown at once with the newest mask,
    and the picture goes on whatever becomes of the engine.
    """
    from edgeseg.runtime.live.sources.opening import is_live_name

    live = pace is Pace.live or (pace is None and is_live_name(source))
    if not live:
        from edgeseg.cli.run_file import run_file
        from edgeseg.runtime.stream.outputs import Outputs

        if is_live_name(source):
            raise UsageError("a live source has no other pace than its own", found="--pace fast", expected="a file")
        of_live = {"--web": web, "--events": events, "--send-to": send_to, "--sync": sync}
        of_live |= {"--reference": reference, "--statistics": statistics, "--fall-back": fall_back}
        for option, given in of_live.items():
            if given:
                raise UsageError(
                    f"{option} is of live video", found=f"a file: {source}", next_command="add --pace live"
                )
        kept = Outputs(out, masks, latency, record)
        run_file(engine, Path(source), kept, max_frames, overlay.value, weights, as_json)
        return
    if latency is not None:
        raise UsageError("--latency is of files", found=source, expected="--web and its /api/state, or --json")
    from edgeseg.cli.run_live import run_live
    from edgeseg.runtime.live.settings import EngineSettings, LiveSettings, OutputSettings, PageSettings, WatchSettings
    from edgeseg.runtime.live.sources.contract import SourceOptions

    if web is None and (token_file or tls_certificate or tls_key):
        raise UsageError(
            "--token-file and --tls-* are of the page", found="no --web", next_command="add --web HOST:PORT"
        )
    page = None if web is None else PageSettings(web, token_file, tls_certificate, tls_key)
    settings = LiveSettings(
        engine=engine,
        source=source,
        source_options=SourceOptions(
            size=parse_size(size),
            rate=None if rate is None else Fraction(rate).limit_denominator(1001),
            loop=loop,
            deinterlace=deinterlace.value,
            hardware=hardware,
        ),
        processes=EngineSettings(spares=spares, threads=threads, weights=weights),
        outputs=OutputSettings(out, record, masks, events, tuple(send_to or ())),
        page=page,
        watch=WatchSettings(reference, reference_every, statistics, fall_back),
        show=overlay.value,
        sync=sync,
        delay_ms=delay_ms,
        mask_limit_ms=max_mask_age_ms,
        gate=gate,
        record_gated=record_gated,
        stabilise=stabilise,
        max_frames=max_frames,
        seconds=seconds,
    )
    run_live(settings, as_json, log_json)


def parse_size(text: str | None) -> tuple[int, int] | None:
    """``1280x720`` as width and height.

    Raises:
        UsageError: It is not of that form.
    """
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise UsageError(f"--size {text} is no size", found=text, expected="WIDTHxHEIGHT, for example 1280x720")
    return int(width), int(height)
