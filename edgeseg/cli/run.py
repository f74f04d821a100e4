"""`edgeseg run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.cli.config_file import ConfigFile
from edgeseg.cli.output import JsonFlag
from edgeseg.cli.run_flags import EngineArgument, FileFlags, with_flags
from edgeseg.cli.signing_key import demanded_key
from edgeseg.errors import UsageError
from edgeseg.shell import quoted


@with_flags
def run(
    engine: EngineArgument,
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A video file, a DICOM object or a folder of images.")
    ],
    flags: FileFlags,
    config: ConfigFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Segment a video file or a folder of images: every frame in order, none lost.

    Frames keep their timestamps. For cameras, streams, and files at their own pace: `edgeseg live`.
    """
    from edgeseg.cli.run_file import run_file
    from edgeseg.runtime.file.outputs import Outputs
    from edgeseg.runtime.live.sources.source_opening import is_live_name

    if is_live_name(source):
        raise UsageError(
            "`edgeseg run` takes files and folders",
            found=f"a live source: {source}",
            next_command=f"edgeseg live {quoted(engine)} {quoted(source)}",
        )
    outputs = Outputs(flags.out, flags.masks, flags.latency, flags.record)
    run_file(engine, Path(source), outputs, flags, as_json, demanded_key(flags.require_signature))
