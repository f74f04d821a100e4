"""`edgeseg live`."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated

import typer

from edgeseg.cli.config_file import ConfigFile
from edgeseg.cli.output import JsonFlag
from edgeseg.cli.run_flags import EngineArgument, LiveFlags, with_flags
from edgeseg.cli.signing_key import demanded_key
from edgeseg.errors import UsageError
from edgeseg.runtime.live.settings import (
    EngineSettings,
    LiveSettings,
    OutputSettings,
    PageSettings,
    RollOutSettings,
    WatchSettings,
)


@with_flags
def live(
    engine: EngineArgument,
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]SOURCE",
            help="rtsp://..., http(s)://..., rtmp://..., udp://@:PORT, srt://..., - (standard input), "
            "camera:0, /dev/video0, synthetic:1280x720@25, gst:PIPELINE, or a file, "
            "which is played at its own pace. Several share the engine; NAME goes into the names of their outputs.",
        ),
    ],
    flags: LiveFlags,
    config: ConfigFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Segment cameras, streams, or files at their own pace, without ever holding up their pictures.

    The newest frame is shown at once with the newest mask, and the picture goes on whatever becomes of the engine.
    """
    if flags.delay_ms is not None and not flags.sync:
        raise UsageError("--delay-ms works with --sync only", found="no --sync", next_command="add --sync")
    if flags.web is None and (flags.token_file or flags.tls_certificate or flags.tls_key):
        raise UsageError(
            "--token-file and --tls-* work with the page only", found="no --web", next_command="add --web HOST:PORT"
        )
    from edgeseg.cli.run_live import run_live
    from edgeseg.cli.size_argument import parse_size
    from edgeseg.runtime.live.sources.contract import SourceOptions
    from edgeseg.runtime.live.stream_names import streams_of

    access = (flags.token_file, flags.tls_certificate, flags.tls_key)
    page = None if flags.web is None else PageSettings(flags.web, *access)
    settings = LiveSettings(
        engine=engine,
        source="",
        signed_by=demanded_key(flags.require_signature),
        source_options=SourceOptions(
            size=None if flags.size is None else parse_size(flags.size),
            rate=None if flags.rate is None else Fraction(flags.rate).limit_denominator(1001),
            loop=flags.loop,
            deinterlace=flags.deinterlace,
            hardware=flags.hardware,
        ),
        processes=EngineSettings(spares=flags.spares, threads=flags.threads),
        outputs=OutputSettings(flags.out, flags.record, flags.masks, flags.events, tuple(flags.send_to or ())),
        page=page,
        watch=WatchSettings(flags.reference, flags.reference_every, flags.statistics, flags.fall_back),
        roll_out=RollOutSettings(flags.shadow, flags.shadow_limit_ms),
        show=flags.overlay,
        sync=flags.sync,
        delay_ms=flags.delay_ms,
        mask_limit_ms=flags.max_mask_age_ms,
        gate=flags.gate,
        record_gated=flags.record_gated,
        stabilise=flags.stabilise,
        steady=flags.steady,
        max_frames=flags.max_frames,
        seconds=flags.seconds,
    )
    run_live(streams_of(settings, source), as_json, flags.log_json)
