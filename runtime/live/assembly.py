"""Makes a running stream from settings: preflight, sinks, page, source and engine; ends them in order."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from edgeseg.files import read_json
from edgeseg.packages import find_model
from edgeseg.progress import Say
from edgeseg.runtime.live.drawing import draw_live
from edgeseg.runtime.live.drift.drift_monitor import DriftMonitor
from edgeseg.runtime.live.drift.drift_opening import open_drift_monitor
from edgeseg.runtime.live.live_stream import LiveOptions, LiveStream
from edgeseg.runtime.live.live_values import Presented
from edgeseg.runtime.live.preflight import SYNC_MARGIN, check_outputs, warm_up
from edgeseg.runtime.live.presenter import PERIODS, PresenterOptions
from edgeseg.runtime.live.scene.refine import SceneRefiner
from edgeseg.runtime.live.scene.stabilise import ProbabilityStabiliser
from edgeseg.runtime.live.scene.watch import LiveGate
from edgeseg.runtime.live.service_manager import notify
from edgeseg.runtime.live.settings import LiveSettings, PageSettings
from edgeseg.runtime.live.sinks.events import EventSink
from edgeseg.runtime.live.sinks.lines import utc_of_day
from edgeseg.runtime.live.sinks.sink import LiveSink
from edgeseg.runtime.live.sinks.sink_choice import event_sink, mask_sink, publishing_sink, recording_sink
from edgeseg.runtime.live.sources.contract import LiveSource
from edgeseg.runtime.live.sources.source_opening import open_live_source
from edgeseg.runtime.live.states import StateChange
from edgeseg.runtime.live.status import LiveStatus
from edgeseg.runtime.live.web.access import find_tls, find_token, parse_address
from edgeseg.runtime.live.web.server import PageServer
from edgeseg.runtime.opener.engine_from_file import start_workers
from edgeseg.runtime.opener.use import live_use
from edgeseg.runtime.passport.passports import passport_path
from edgeseg.runtime.video.overlay import OverlayMode
from edgeseg.runtime.video.persistence import MarkPersistence, refuse_several_classes
from edgeseg.runtime.worker.worker_engine import WorkerEngine

logger = logging.getLogger(__name__)
_ASSUMED_PERIOD_MS = 40.0


@contextlib.contextmanager
def live_stream(settings: LiveSettings, say: Say) -> Iterator[LiveStream]:
    """Open a stream that is ready to run, its page up.

    Args:
        settings: The stream's settings.
        say: Called with lines for the person at the terminal.

    Raises:
        EdgesegError: Something that the stream needs is missing; nothing was written.
    """
    check_outputs(settings)
    with contextlib.ExitStack() as stack:
        page = None if settings.page is None else stack.enter_context(open_page(settings.page))
        processes = settings.processes
        use = live_use(processes.active, processes.spares, processes.threads)
        engine = start_workers(settings.engine, replace(use, signed_by=settings.signed_by))
        stack.callback(engine.close)
        if settings.steady:
            refuse_several_classes(len(engine.info.model.classes))
        source = open_live_source(settings.source, settings.source_options)
        slowest_ms = warm_up(engine, say)
        gate = LiveGate() if settings.gate else None
        drift = open_drift_monitor(settings, engine.info, gate, say)
        if drift is not None:
            stack.callback(drift.stop, 0.0)
        events = event_sink(settings.outputs.events, engine.info.model.classes[0])
        sinks: list[Any] = [*open_sinks(settings, source), events]
        if page is not None:
            sinks.append(PageSink(page))
        options = LiveOptions(
            presenter_options(settings, engine, slowest_ms),
            settings.show,
            max_frames=settings.max_frames,
            seconds=settings.seconds,
        )
        stabiliser = ProbabilityStabiliser() if settings.stabilise else None
        refine = SceneRefiner(gate, stabiliser, MarkPersistence() if settings.steady else None)
        stream = LiveStream(source, engine, sinks, draw_live, options, gate, refine, tell, alive, drift)
        if page is not None:
            page.start(StreamView(stream, events, settings, drift))
            say(f"page: {page.url}")
        yield stream


def presenter_options(settings: LiveSettings, engine: WorkerEngine, slowest_ms: float) -> PresenterOptions:
    """Choose what is shown when; a delay that nobody chose is the engine's time and a margin."""
    delay_ms = None
    if settings.sync:
        delay_ms = settings.delay_ms or round(SYNC_MARGIN * slowest_ms + PERIODS * _ASSUMED_PERIOD_MS)
    info = engine.info
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


def tell(change: StateChange) -> None:
    """Log a state and pass it on to the service manager."""
    logger.info("%s%s", change.state, f": {change.reason}" if change.reason else "")
    lines = [f"STATUS={change.state}{': ' + change.reason if change.reason else ''}"]
    if change.state in ("live", "degraded", "pass-through"):
        lines.append("READY=1")
    if change.state == "stopped":
        lines.append("STOPPING=1")
    notify(*lines)


def alive() -> None:
    """Say that frames can be shown; a service manager that misses this for long starts the stream anew."""
    notify("WATCHDOG=1")


@dataclass(frozen=True)
class PageCounts:
    """The page's counts as a sink: it takes what it can show, as long as it is served."""

    state: Literal["ok", "failed"] = "ok"
    last_error: str = ""


class PageSink:
    """A page as a sink of a stream.

    Args:
        page: The page's server, which outlives the stream.
    """

    name = "page"

    def __init__(self, page: PageServer) -> None:
        self._page = page

    def offer(self, presented: Presented) -> None:
        """Show a frame to whoever has the page open."""
        self._page.offer(presented)

    def counts(self) -> PageCounts:
        """Say whether the page is served."""
        failure = self._page.failure
        return PageCounts() if failure is None else PageCounts("failed", f"{type(failure).__name__}: {failure}")

    def close(self, deadline_s: float) -> None:
        """Do nothing: the server ends with the stream's context."""


class StreamView:
    """A stream as the page sees it.

    Args:
        stream: The stream.
        events: The events of what came into view and left it.
        settings: The stream's settings.
        drift: The stream's drift watch.
    """

    def __init__(
        self, stream: LiveStream, events: EventSink, settings: LiveSettings, drift: DriftMonitor | None = None
    ) -> None:
        self._stream, self._drift = stream, drift
        self._events = events
        self._settings = settings

    @property
    def newest(self) -> Presented | None:
        """The frame that is shown now."""
        return self._stream.newest

    def status(self) -> LiveStatus:
        """Read the status of this moment."""
        return self._stream.status()

    def set_overlay(self, mode: OverlayMode) -> None:
        """Change what is drawn."""
        self._stream.set_overlay(mode)

    def passport(self) -> dict[str, Any]:
        """Read the engine's passport, or what a model says; after a fall-back the reference's."""
        status = self._stream.status()
        former = None if status.drift is None else status.drift["fallen_back_from"]
        path = self._settings.engine if former is None else self._settings.watch.reference
        assert path is not None
        if find_model(path).kind == "engine":
            found = read_json(passport_path(path), "the engine's passport")
        else:
            found = {"backend": status.backend, "precision": status.precision, "onnx_sha256": status.engine}
        return found if former is None else {**found, "fallen_back_from": former}

    def events(self) -> Sequence[dict[str, Any]]:
        """List sightings, changes of state and findings of the drift watch, oldest first."""
        changes = [
            {"event": "state", "state": change.state, "reason": change.reason, "time": utc_of_day(when_s)}
            for when_s, change in self._stream.changes()
        ]
        drift = [] if self._drift is None else self._drift.events()
        found = [{"event": "drift", "text": text, "time": utc_of_day(when_s)} for when_s, text in drift]
        every: list[dict[str, Any]] = [*changes, *found, *self._events.newest()]
        return sorted(every, key=lambda event: str(event.get("until", event["time"])))
