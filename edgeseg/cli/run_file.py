"""Runs a file: every frame in order, none lost."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from edgeseg.cli.output import emit, say, track
from edgeseg.errors import BadInputError

if TYPE_CHECKING:
    from edgeseg.cli.run_flags import FileFlags
    from edgeseg.errors import EdgesegError
    from edgeseg.runtime.file.outputs import Outputs
    from edgeseg.runtime.file.pipeline import StreamResult
    from edgeseg.runtime.video.source import Source
    from edgeseg.signing.key_files import PublicKey

CARRIED = "carried"


def run_file(
    engine: Path, source: Path, outputs: Outputs, flags: FileFlags, as_json: bool, signed_by: PublicKey | None = None
) -> None:
    """Segment a file or a folder of images and say what came of it.

    Args:
        engine: The engine or model.
        source: The file or folder.
        outputs: The files to write.
        flags: What else was typed.
        as_json: Print one JSON document.
        signed_by: The key that must have signed the engine; None demands no signature.
    """
    from edgeseg.runtime.file.pipeline import run_stream
    from edgeseg.runtime.opener.engine_from_file import open_engine
    from edgeseg.runtime.opener.use import FILE
    from edgeseg.runtime.passport.passports import passport_path
    from edgeseg.runtime.video.persistence import MarkPersistence, refuse_several_classes
    from edgeseg.runtime.video.video_files import left_out_of, open_source

    outputs.check([engine, passport_path(engine), source])
    with contextlib.closing(open_engine(engine, replace(FILE, signed_by=signed_by))) as opened:
        if flags.steady:
            refuse_several_classes(len(opened.info.model.classes))
        persistence = MarkPersistence() if flags.steady else None
        with (
            open_source(source, flags.deinterlace, keep_going=True) as frames,
            outputs.open(frames.timing, frames.sound) as sinks,
        ):
            result = run_stream(opened, frames, sinks, flags.max_frames, track, flags.overlay, persistence)
            sound = _sound(frames, outputs)
    if outputs.latency is not None:
        result.latency.write(outputs.latency)
    unreadable: list[EdgesegError] = getattr(frames, "unreadable", [])
    if source.is_dir() and (left_out := left_out_of(source)):
        say(f"{source}: passed over {left_out}")
    if (result.lost_frames or result.damaged_frames) and not unreadable:
        say(
            f"warning: {source} is damaged: {result.lost_frames} of its frames missing or undecodable, "
            f"{result.damaged_frames} patched or built on patched ones"
        )
    if sound is not None and sound != CARRIED:
        say(f"the sound of {source} is {sound}")
    emit(
        {**_document(result, outputs, sound), "unreadable": [error.to_dict() for error in unreadable]}
        | ({"exit_code": BadInputError.exit_code} if unreadable else {}),
        as_json,
        _text(result, outputs, source),
    )
    if unreadable:
        for error in unreadable:
            say(f"error: {error}")
        say(f"{len(unreadable)} of the images of {source} could not be read; the results of the others were kept")
        raise typer.Exit(BadInputError.exit_code)


def _sound(source: Source, outputs: Outputs) -> str | None:
    """Say what became of the sound; None where there is none, or no clip to carry it."""
    from edgeseg.runtime.video.clip import sound_left_out

    if source.sound is None or not (outputs.is_clip or outputs.record is not None):
        return None
    why = sound_left_out(source.sound)
    return f"left out: {why}" if why else CARRIED


def _document(result: StreamResult, outputs: Outputs, sound: str | None) -> dict[str, Any]:
    return {
        "frames": result.frames,
        "frames_with_mask": result.frames_with_mask,
        "damaged_frames": result.damaged_frames,
        "lost_frames": result.lost_frames,
        "sound": sound,
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
