"""`edgeseg run`."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from edgeseg.cli.config_file import ConfigFile
from edgeseg.cli.model_argument import WeightsOption
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
    LatencyFlag,
    LogJsonFlag,
    LoopFlag,
    MasksFlag,
    MaxFramesFlag,
    MaxMaskAgeMsFlag,
    OutFlag,
    OverlayChoice,
    OverlayFlag,
    Pace,
    PaceFlag,
    RateFlag,
    RecordFlag,
    RecordGatedFlag,
    ReferenceEveryFlag,
    ReferenceFlag,
    SecondsFlag,
    SendToFlag,
    SizeFlag,
    SourceArgument,
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


def run(
    engine: EngineArgument,
    source: SourceArgument,
    out: OutFlag = None,
    masks: MasksFlag = None,
    record: RecordFlag = None,
    weights: WeightsOption = None,
    overlay: OverlayFlag = OverlayChoice.contour,
    latency: LatencyFlag = None,
    max_frames: MaxFramesFlag = None,
    pace: PaceFlag = None,
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
    """Segment video: a file or folder frame by frame, none lost; a live source without ever holding up its picture.

    Files keep every frame, its order and its timestamp. Live, the newest frame is shown at once with the newest mask,
    and the picture goes on whatever becomes of the engine.
    """
    from edgeseg.runtime.live.sources.opening import is_live_name

    live = pace is Pace.live or (pace is None and is_live_name(source))
    if not live:
        from edgeseg.cli.run_file import run_file
        from edgeseg.runtime.file.outputs import Outputs

        if is_live_name(source):
            raise UsageError("a live source has no other pace than its own", found="--pace fast", expected="a file")
        of_live: dict[str, object] = {
            "--web": web,
            "--events": events,
            "--send-to": send_to,
            "--sync": sync,
            "--loop": loop,
        }
        of_live |= {"--reference": reference, "--statistics": statistics, "--fall-back": fall_back}
        of_live |= {"--no-record-gated": not record_gated, "--no-gate": not gate, "--stabilise": stabilise}
        of_live |= {"--seconds": seconds, "--token-file": token_file, "--tls-certificate": tls_certificate}
        of_live |= {"--delay-ms": delay_ms, "--max-mask-age-ms": max_mask_age_ms, "--size": size, "--rate": rate}
        of_live |= {"--tls-key": tls_key, "--log-json": log_json, "--spares": spares != 1, "--threads": threads}
        of_live |= {"--reference-every": reference_every != 50, "--hardware": hardware != "off"}
        _refuse_live_flags(of_live, source)
        kept = Outputs(out, masks, latency, record)
        run_file(engine, Path(source), kept, max_frames, overlay.value, weights, deinterlace.value, as_json)
        return
    if latency is not None:
        raise UsageError("--latency is of files", found=source, expected="--web and its /api/state, or --json")
    if delay_ms is not None and not sync:
        raise UsageError("--delay-ms is of --sync", found="no --sync", next_command="add --sync")
    from edgeseg.cli.run_live import run_live
    from edgeseg.cli.size_argument import parse_size
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
            size=None if size is None else parse_size(size),
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


def _refuse_live_flags(given: dict[str, object], source: str) -> None:
    for option, value in given.items():
        if value:
            raise UsageError(f"{option} is of live video", found=f"a file: {source}", next_command="add --pace live")
