"""The flags of `edgeseg run` and `edgeseg live`: each field's name, type, default and help are those of its flag.

`--config` reads the same fields.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from edgeseg.runtime.live.settings import EngineSettings, LiveSettings, WatchSettings

LONGEST_MS = 5000
"""Longest `--delay-ms`, because pictures wait in memory, and longest `--max-mask-age-ms`, because tissue moves."""

_kept = functools.partial(typer.Option, rich_help_panel="What is kept")
_live = functools.partial(typer.Option, rich_help_panel="Live")
_page = functools.partial(typer.Option, rich_help_panel="The page")
_watch = functools.partial(typer.Option, rich_help_panel="The drift watch")
_roll_out = functools.partial(typer.Option, rich_help_panel="A new engine")

EngineArgument = Annotated[
    Path, typer.Argument(metavar="ENGINE", help="The .engine file, with its passport beside it, or a MODEL.")
]


@dataclass(frozen=True)
class CommonFlags:
    """The flags that both commands have."""

    out: Annotated[
        Path | None,
        _kept(
            metavar="FILE.mp4",
            help="Video with the overlay to write; a name without a suffix makes a folder of images.",
        ),
    ] = None
    masks: Annotated[
        Path | None,
        _kept(
            metavar="DIR",
            help="Folder for the masks, PNG at each frame's size; live also FILE.jsonl with COCO run lengths.",
        ),
    ] = None
    record: Annotated[
        Path | None, _kept(metavar="FILE.mp4", help="Video to write without the overlay, as it came.")
    ] = None
    overlay: Annotated[
        Literal["contour", "fill", "heat", "off"],
        typer.Option(help="How to draw the mask: as border, tint, probabilities or not at all."),
    ] = LiveSettings.show
    steady: Annotated[
        bool, typer.Option("--steady", help="Show a mark once it has lasted for some frames; keep it through gaps.")
    ] = LiveSettings.steady
    max_frames: Annotated[int | None, typer.Option(metavar="N", min=1, help="Stop after N frames.")] = None
    deinterlace: Annotated[
        Literal["auto", "on", "off"],
        typer.Option(help="Deinterlace where the video says that it is interlaced, always, or never."),
    ] = "auto"
    require_signature: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.pub", help="Open nothing that the owner of this public key has not signed (edgeseg sign)."
        ),
    ] = None


@dataclass(frozen=True)
class FileFlags(CommonFlags):
    """The flags of `edgeseg run`."""

    latency: Annotated[Path | None, _kept(metavar="FILE", help="File for the times of every stage (JSON).")] = None


@dataclass(frozen=True)
class LiveFlags(CommonFlags):
    """The flags of `edgeseg live`."""

    sync: Annotated[
        bool,
        _live(
            "--sync/--low-latency",
            help="Show each frame a fixed time later with its own mask, or at once with the newest mask.",
        ),
    ] = LiveSettings.sync
    delay_ms: Annotated[
        float | None, _live(metavar="MS", min=1, max=LONGEST_MS, help="Delay of --sync; measured by default.")
    ] = None
    max_mask_age_ms: Annotated[
        float | None,
        _live(
            metavar="MS",
            min=1,
            max=LONGEST_MS,
            help="Take a mask down when its frame is older than this; by default inference and two frame periods.",
        ),
    ] = None
    gate: Annotated[
        bool, _live("--gate/--no-gate", help="Hide masks where no tissue is seen (black, blurred, ...).")
    ] = LiveSettings.gate
    record_gated: Annotated[
        bool,
        _live("--record-gated/--no-record-gated", help="Record frames that show no tissue (a face, a room), too."),
    ] = LiveSettings.record_gated
    stabilise: Annotated[bool, _live("--stabilise", help="Stabilise masks along the motion of the picture.")] = False
    events: Annotated[
        Path | None,
        _live(metavar="FILE.jsonl", help="Log of what appears and leaves, with thumbnails beside it."),
    ] = None
    send_to: Annotated[
        list[str] | None, _live(metavar="URL", help="Send the picture with its overlay on: rtsp, rtmp, udp, tcp, HLS.")
    ] = None
    spares: Annotated[
        int, _live(min=0, max=4, help="Number of loaded engine processes that stand ready to take over.")
    ] = EngineSettings.spares
    threads: Annotated[int, _live(min=0, help="Threads inside one inference on a CPU; 0 takes every core.")] = (
        EngineSettings.threads
    )
    seconds: Annotated[float | None, _live(metavar="S", min=0.1, help="Stop after this many seconds.")] = None
    size: Annotated[str | None, _live(metavar="WxH", help="Size to ask a camera for.")] = None
    rate: Annotated[float | None, _live(metavar="FPS", min=0.1, help="Frame rate to ask a camera for.")] = None
    loop: Annotated[bool, _live("--loop", help="Start a file again at its end.")] = False
    hardware: Annotated[
        str,
        _live(
            metavar="DEVICE",
            help="Decode with cuda, vaapi, ...; jetson decodes by GStreamer. Falls back to software.",
        ),
    ] = "off"
    web: Annotated[
        str | None, _page(metavar="HOST:PORT", help="Serve the live page at this address, for example 127.0.0.1:8080.")
    ] = None
    token_file: Annotated[
        Path | None,
        _page(
            metavar="FILE",
            help="File with the token that viewers must show, instead of EDGESEG_TOKEN; needed off loopback.",
        ),
    ] = None
    tls_certificate: Annotated[
        Path | None, _page(metavar="FILE.pem", help="Certificate for https, with --tls-key.")
    ] = None
    tls_key: Annotated[Path | None, _page(metavar="FILE.pem", help="Key of --tls-certificate.")] = None
    reference: Annotated[
        Path | None,
        _watch(
            metavar="MODEL",
            help="Also run some frames through this model, at low priority: .onnx, package or engine.",
        ),
    ] = None
    reference_every: Annotated[
        int, _watch(metavar="N", min=1, help="Run the reference on every N-th frame that the engine segmented.")
    ] = WatchSettings.every
    statistics: Annotated[
        Path | None,
        _watch(
            metavar="FILE.json",
            help="Statistics of the training pictures (edgeseg data statistics); a package has its own.",
        ),
    ] = None
    fall_back: Annotated[
        bool, _watch("--fall-back", help="Switch to --reference when the engine drifts away from it.")
    ] = WatchSettings.fall_back
    shadow: Annotated[
        Path | None,
        _roll_out(
            metavar="ENGINE",
            help="Compare a new engine, unseen, on frames that the shown one has answered and while that one is idle; "
            "POST /api/roll-out shows it.",
        ),
    ] = None
    shadow_limit_ms: Annotated[
        float | None,
        _roll_out(
            metavar="MS",
            min=0.1,
            help="Once it is shown, take it back when its median inference is longer; by default twice the old one's.",
        ),
    ] = None
    log_json: Annotated[bool, _live("--log-json", help="Log JSON lines on stderr, for a machine to read.")] = False


def with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command a parameter for each field of its `flags`, so that typer and `--config` see plain parameters.

    Args:
        command: A function with a parameter `flags`, of a dataclass.
    """
    hints = typing.get_type_hints(command, include_extras=True)
    kind = hints.pop("flags")
    types = typing.get_type_hints(kind, include_extras=True)
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        spread = defaults if name == "flags" else {name: parameter.default}
        parameters += [
            inspect.Parameter(
                each, inspect.Parameter.KEYWORD_ONLY, default=default, annotation={**types, **hints}[each]
            )
            for each, default in spread.items()
        ]

    @functools.wraps(command)
    def spread_command(**given: Any) -> None:
        flags = {name: given.pop(name) for name in defaults}
        command(flags=kind(**flags), **given)

    spread_command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    spread_command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return spread_command
