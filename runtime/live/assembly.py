"""Makes running streams from settings: preflight, sinks, page, sources and engine; ends them in order."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from edgeseg.errors import UsageError
from edgeseg.progress import Say
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.live.drawing import draw_live
from edgeseg.runtime.live.drift.drift_opening import open_drift_monitor
from edgeseg.runtime.live.live_box import LiveBox
from edgeseg.runtime.live.live_stream import LiveOptions, LiveStream
from edgeseg.runtime.live.page_view import PageSink, StreamView
from edgeseg.runtime.live.preflight import SYNC_MARGIN, check_outputs, warm_up
from edgeseg.runtime.live.presenter import PERIODS, PresenterOptions
from edgeseg.runtime.live.rollout.roll_out_opening import open_roll_out, open_shadow
from edgeseg.runtime.live.scene.refine import SceneRefiner
from edgeseg.runtime.live.scene.stabilise import ProbabilityStabiliser
from edgeseg.runtime.live.scene.watch import LiveGate
from edgeseg.runtime.live.service_manager import notify
from edgeseg.runtime.live.settings import LiveSettings, PageSettings
from edgeseg.runtime.live.shared_engine import SharedEngine
from edgeseg.runtime.live.sinks.sink import LiveSink
from edgeseg.runtime.live.sinks.sink_choice import event_sink, mask_sink, publishing_sink, recording_sink
from edgeseg.runtime.live.sources.contract import LiveSource
from edgeseg.runtime.live.sources.source_opening import open_live_source
from edgeseg.runtime.live.states import StateChange
from edgeseg.runtime.live.web.access import find_tls, find_token, parse_address
from edgeseg.runtime.live.web.server import PageServer
from edgeseg.runtime.opener.engine_from_file import start_workers
from edgeseg.runtime.opener.use import live_use
from edgeseg.runtime.video.persistence import MarkPersistence, refuse_several_classes

logger = logging.getLogger(__name__)
_ASSUMED_PERIOD_MS = 40.0
MOST_HZ = 66.0
"""Frames a second that each of several streams may take up: a scope gives 60 at most, and a source that floods the box
costs the others their time on the processor."""


@contextlib.contextmanager
def live_box(streams: Sequence[LiveSettings], say: Say) -> Iterator[LiveBox]:
    """Open the streams of a box, ready to run, their page up.

    Args:
        streams: The settings of each, equal but for names, sources and outputs; see `streams_of`.
        say: Called with lines for the person at the terminal.

    Raises:
        EdgesegError: Something that a stream needs is missing; nothing was written.
    """
    check_outputs(*streams)
    box = streams[0]
    _check_changes_of_engine(box, len(streams))
    with contextlib.ExitStack() as stack:
        page = None if box.page is None else stack.enter_context(open_page(box.page))
        processes = box.processes
        use = live_use(processes.active, processes.spares, processes.threads)
        workers = start_workers(box.engine, replace(use, signed_by=box.signed_by))
        stack.callback(workers.close)
        if box.steady:
            refuse_several_classes(len(workers.info.model.classes))
        options = box.source_options if len(streams) == 1 else replace(box.source_options, gives_up=False)
        sources = [open_live_source(settings.source, options) for settings in streams]
        slowest_ms = len(streams) * warm_up(workers, say)  # each waits for the others' frames
        engine, told = SharedEngine(workers), StateTeller([settings.name for settings in streams])
        shadow = open_shadow(box, workers.info, say)
        if shadow is not None:
            stack.callback(shadow.close)
        opened = [
            _open_stream(settings, source, engine, slowest_ms, told, stack, page, say)
            for settings, source in zip(streams, sources, strict=True)
        ]
        opened_streams, views = [stream for stream, _ in opened], {stream.name: view for stream, view in opened}
        roll_out = None
        if shadow is not None:
            monitors = [view.drift for view in views.values() if view.drift is not None]
            roll_out = open_roll_out(box, engine, shadow, monitors)
            roll_out.listeners += [view.sightings.note for view in views.values()]
        if page is not None:
            page.start(views, roll_out)
            say(f"page: {page.url}")
        yield LiveBox(engine, opened_streams, alive, roll_out)


def _check_changes_of_engine(settings: LiveSettings, sources: int) -> None:
    watch, roll_out = settings.watch, settings.roll_out
    if watch.fall_back and sources > 1:
        raise UsageError(
            "--fall-back works with one source only",
            found=f"{sources} sources, which share the engine",
            expected="no --fall-back, or one `edgeseg live` for each source",
        )
    if watch.fall_back and roll_out.shadow is not None:
        raise UsageError(
            "--shadow and --fall-back both change the engine",
            found="both",
            expected="one of them: a new engine is taken back by itself when --reference raises an alarm",
        )
    if roll_out.shadow is None and roll_out.limit_ms is not None:
        raise UsageError(
            "--shadow-limit-ms works with --shadow only", found="no --shadow", next_command="add --shadow ENGINE"
        )


def _open_stream(
    settings: LiveSettings,
    source: LiveSource,
    engine: SharedEngine,
    slowest_ms: float,
    told: StateTeller,
    stack: contextlib.ExitStack,
    page: PageServer | None,
    say: Say,
) -> tuple[LiveStream, StreamView]:
    info = engine.engine.info
    gate = LiveGate() if settings.gate else None
    drift = open_drift_monitor(settings, info, gate, say)
    if drift is not None:
        stack.callback(drift.stop, 0.0)
    events = event_sink(settings.outputs.events, info.model.classes[0])
    sinks: list[Any] = [*open_sinks(settings, source), events]
    if page is not None:
        sinks.append(PageSink(page, settings.name))
    options = LiveOptions(
        presenter_options(settings, info, slowest_ms),
        settings.show,
        max_frames=settings.max_frames,
        seconds=settings.seconds,
        most_hz=MOST_HZ if settings.name else None,
    )
    stabiliser = ProbabilityStabiliser() if settings.stabilise else None
    refine = SceneRefiner(gate, stabiliser, MarkPersistence() if settings.steady else None)
    tell = partial(told.tell, settings.name)
    stream = LiveStream(source, engine, sinks, draw_live, options, gate, refine, tell, drift, settings.name)
    return stream, StreamView(stream, events, settings, drift)


def presenter_options(settings: LiveSettings, info: SessionInfo, slowest_ms: float) -> PresenterOptions:
    """Choose what is shown when; a delay that nobody chose is the engine's time and a margin."""
    delay_ms = None
    if settings.sync:
        delay_ms = settings.delay_ms or round(SYNC_MARGIN * slowest_ms + PERIODS * _ASSUMED_PERIOD_MS)
    return PresenterOptions(
        delay_ms,
        settings.mask_limit_ms,
        record_gated=settings.record_gated,
        structure=info.model.classes[0] if info.model.output == "sigmoid" else "marked",
        engine=f"{info.backend} {info.precision}",
    )


def open_sinks(settings: LiveSettings, source: LiveSource) -> Iterator[LiveSink]:
    """Open everything that records or sends on, except events."""
    outputs = settings.outputs
    if outputs.overlay is not None:
        yield recording_sink(outputs.overlay, lambda: source.timing, "overlay")
    if outputs.raw is not None:
        yield recording_sink(outputs.raw, lambda: source.timing, "raw")
    if outputs.masks is not None:
        yield mask_sink(outputs.masks)
    for address in outputs.addresses:
        yield publishing_sink(address, lambda: source.timing)


def open_page(settings: PageSettings) -> PageServer:
    """Open the page's server, which takes its address at once.

    Raises:
        UsageError: There is no such address, it is taken, or it needs a token.
    """
    address = parse_address(settings.address)
    tls = find_tls(settings.certificate, settings.key)
    if tls is None and not address.is_loopback:
        logger.warning("the page on %s is not encrypted: anyone on the way can read picture and token", address.host)
    return PageServer(address, find_token(address, settings.token_file), tls)


class StateTeller:
    """Logs the states of a box's streams and passes them on to the service manager.

    Args:
        names: The streams' names.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._states = dict.fromkeys(names, "starting")
        self._lock = threading.Lock()

    def tell(self, name: str, change: StateChange) -> None:
        """Log a state; ready is the box once one stream can show frames, and stopping when all have ended."""
        label = f"{name}: " if name else ""
        text = f"{change.state}: {change.reason}" if change.reason else change.state
        logger.info("%s%s", label, text)
        with self._lock:
            self._states[name] = text
            lines = [
                f"STATUS={'; '.join(f'{each}: {state}' if each else state for each, state in self._states.items())}"
            ]
            if change.state in ("live", "degraded", "pass-through"):
                lines.append("READY=1")
            if all(state.startswith("stopped") for state in self._states.values()):
                lines.append("STOPPING=1")
            notify(*lines)


def alive() -> None:
    """Say that frames can be shown; a service manager that misses this for long starts the stream anew."""
    notify("WATCHDOG=1")
