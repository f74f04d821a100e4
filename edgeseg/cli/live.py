"""`edgeseg live`."""

from __future__ import annotations

from fractions import Fraction

from edgeseg.cli.config_file import ConfigFile
from edgeseg.cli.output import JsonFlag
from edgeseg.cli.run_flags import (
    DeinterlaceFlag,
    Deinterlacing,
    DelayMsFlag,
    EngineArgument,
    EventsFlag,
    FallBackFlag,
    GateFlag,
    HardwareFlag,
    LiveSourceArgument,
    LogJsonFlag,
    LoopFlag,
    MasksFlag,
    MaxFramesFlag,
    MaxMaskAgeMsFlag,
    OutFlag,
    OverlayChoice,
    OverlayFlag,
    RateFlag,
    RecordFlag,
    RecordGatedFlag,
    ReferenceEveryFlag,
    ReferenceFlag,
    SecondsFlag,
    SendToFlag,
    SizeFlag,
    SparesFlag,
    StabiliseFlag,
    StatisticsFlag,
    SyncFlag,
    ThreadsFlag,
    TlsCertificateFlag,
    TlsKeyFlag,
    TokenFileFlag,
    WebFlag,
)
from edgeseg.errors import UsageError


def live(
    engine: EngineArgument,
    source: LiveSourceArgument,
    out: OutFlag = None,
    masks: MasksFlag = None,
    record: RecordFlag = None,
    overlay: OverlayFlag = OverlayChoice.contour,
    max_frames: MaxFramesFlag = None,
    sync: SyncFlag = False,
    delay_ms: DelayMsFlag = None,
    max_mask_age_ms: MaxMaskAgeMsFlag = None,
    gate: GateFlag = True,
    record_gated: RecordGatedFlag = True,
    stabilise: StabiliseFlag = False,
    events: EventsFlag = None,
    send_to: SendToFlag = None,
    spares: SparesFlag = 1,
    threads: ThreadsFlag = 0,
    seconds: SecondsFlag = None,
    size: SizeFlag = None,
    rate: RateFlag = None,
    loop: LoopFlag = False,
    deinterlace: DeinterlaceFlag = Deinterlacing.auto,
    hardware: HardwareFlag = "off",
    web: WebFlag = None,
    token_file: TokenFileFlag = None,
    tls_certificate: TlsCertificateFlag = None,
    tls_key: TlsKeyFlag = None,
    reference: ReferenceFlag = None,
    reference_every: ReferenceEveryFlag = 50,
    statistics: StatisticsFlag = None,
    fall_back: FallBackFlag = False,
    config: ConfigFile = None,
    log_json: LogJsonFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Segment a camera, a stream, or a file at its own pace, without ever holding up its picture.

    The newest frame is shown at once with the newest mask, and the picture goes on whatever becomes of the engine.
    """
    if delay_ms is not None and not sync:
        raise UsageError("--delay-ms works with --sync only", found="no --sync", next_command="add --sync")
    from edgeseg.cli.run_live import run_live
    from edgeseg.runtime.live.settings import EngineSettings, LiveSettings, OutputSettings, PageSettings, WatchSettings
    from edgeseg.runtime.live.sources.contract import SourceOptions

    if web is None and (token_file or tls_certificate or tls_key):
        raise UsageError(
            "--token-file and --tls-* work with the page only", found="no --web", next_command="add --web HOST:PORT"
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
        processes=EngineSettings(spares=spares, threads=threads),
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
