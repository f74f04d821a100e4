"""`edgeseg run`."""

from __future__ import annotations

from pathlib import Path

from edgeseg.cli.config_file import ConfigFile
from edgeseg.cli.output import JsonFlag
from edgeseg.cli.run_flags import (
    DeinterlaceFlag,
    Deinterlacing,
    EngineArgument,
    FileSourceArgument,
    LatencyFlag,
    MasksFlag,
    MaxFramesFlag,
    OutFlag,
    OverlayChoice,
    OverlayFlag,
    RecordFlag,
)
from edgeseg.errors import UsageError
from edgeseg.shell import quoted


def run(
    engine: EngineArgument,
    source: FileSourceArgument,
    out: OutFlag = None,
    masks: MasksFlag = None,
    record: RecordFlag = None,
    overlay: OverlayFlag = OverlayChoice.contour,
    latency: LatencyFlag = None,
    max_frames: MaxFramesFlag = None,
    deinterlace: DeinterlaceFlag = Deinterlacing.auto,
    config: ConfigFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Segment a video file or a folder of images: every frame in order, none lost.

    Frames keep their timestamps. For cameras, streams, and files at their own pace: `edgeseg live`.
    """
    from edgeseg.cli.run_file import run_file
    from edgeseg.runtime.file.outputs import Outputs
    from edgeseg.runtime.live.sources.opening import is_live_name

    if is_live_name(source):
        raise UsageError(
            "`edgeseg run` takes files and folders",
            found=f"a live source: {source}",
            next_command=f"edgeseg live {quoted(engine)} {quoted(source)}",
        )
    outputs = Outputs(out, masks, latency, record)
    run_file(engine, Path(source), outputs, max_frames, overlay.value, deinterlace.value, as_json)
