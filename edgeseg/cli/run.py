"""`edgeseg run`."""

from __future__ import annotations

import contextlib
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.cli.output import JsonFlag, emit, say, track

if TYPE_CHECKING:
    from edgeseg.runtime.stream.outputs import Outputs
    from edgeseg.runtime.stream.pipeline import StreamResult


class OverlayChoice(str, Enum):
    """What is drawn on the pictures; typer wants an Enum."""

    contour = "contour"
    fill = "fill"
    heat = "heat"
    off = "off"


def run(
    engine: Annotated[
        Path, typer.Argument(metavar="ENGINE", help="The .engine file, its passport beside it; or a MODEL.")
    ],
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A video file or a folder of images.")],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.mp4",
            help="Where the video with the overlay goes; a name without suffix makes a folder.",
        ),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the masks go, PNG at each frame's size.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE.mp4", help="Where the video goes as it came, without overlay.")
    ] = None,
    overlay: Annotated[
        OverlayChoice, typer.Option(help="What --out shows of the mask: border, tint, probabilities or nothing.")
    ] = OverlayChoice.contour,
    latency: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the times of every stage go, JSON.")
    ] = None,
    max_frames: Annotated[int | None, typer.Option(metavar="N", min=1, help="Stop after N frames.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Segment every frame of a video or a folder of images: video with outlines, masks, times.

    No frame is left out or taken twice, and the video keeps their order and timestamps.
    """
    from edgeseg.cli.model_argument import open_model
    from edgeseg.runtime.passports import passport_path
    from edgeseg.runtime.stream.outputs import Outputs
    from edgeseg.runtime.stream.pipeline import run_stream
    from edgeseg.runtime.stream.sources import open_source

    outputs = Outputs(out, masks, latency, record)
    outputs.check([engine, passport_path(engine), source])
    with (
        contextlib.closing(open_model(engine, streaming=True)) as session,
        open_source(source) as frames,
        outputs.open(frames.timing) as sinks,
    ):
        result = run_stream(session, frames, sinks, max_frames, track, overlay.value)
    if latency is not None:
        result.latency.write(latency)
    if result.damaged_frames:
        say(f"warning: {result.damaged_frames} frames of {source} are damaged; the decoder patched them")
    emit(_document(result, outputs), as_json, _text(result, outputs, source))


def _document(result: StreamResult, outputs: Outputs) -> dict[str, Any]:
    return {
        "frames": result.frames,
        "frames_with_mask": result.frames_with_mask,
        "damaged_frames": result.damaged_frames,
        "out": _shown(outputs.pictures),
        "masks": _shown(outputs.masks),
        "record": _shown(outputs.record),
        "latency_file": _shown(outputs.latency),
        "latency": result.latency.to_dict(),
    }


def _shown(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _text(result: StreamResult, outputs: Outputs, source: Path) -> str:
    times = result.latency
    stages = [
        f"{stage} {spread.p50_ms:.1f}/{spread.p99_ms:.1f}"
        for stage in ("decode", "pre", "infer", "post", "draw", "encode")
        if (spread := getattr(times, stage)) is not None
    ]
    lines = [
        f"{source}: {result.frames} frames, {result.frames_with_mask} with a mask, {times.fps:.1f} fps",
        f"{times.backend} {times.precision} on {times.machine}",
        f"ms, median/p99: {', '.join(stages)}",
    ]
    written = [
        str(path) for path in (outputs.pictures, outputs.record, outputs.masks, outputs.latency) if path is not None
    ]
    return "\n".join([*lines, *([f"wrote {', '.join(written)}"] if written else [])])
