"""Runs live streams and says what came of them."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from edgeseg.cli.output import emit, say
from edgeseg.runtime.live.credentials import without_credentials

if TYPE_CHECKING:
    from edgeseg.runtime.live.live_box import LiveBox
    from edgeseg.runtime.live.settings import LiveSettings
    from edgeseg.runtime.live.status import LiveStatus


def run_live(streams: Sequence[LiveSettings], as_json: bool, log_json: bool) -> None:
    """Run live streams until their sources end or somebody asks; SIGTERM and Ctrl-C close files whole first."""
    from edgeseg.runtime.live.assembly import live_box

    _log_to_stderr(log_json)
    tell = logging.getLogger(__name__).info if log_json else say
    with live_box(streams, tell) as box, _signals(box) as asked:
        statuses = box.run()
    found = {settings.name: status for settings, status in zip(streams, statuses, strict=True)}
    documents = {name: status.to_dict() for name, status in found.items()}
    document = documents.get("") or {"streams": documents}
    emit(document, as_json, "\n".join((f"{name}: " if name else "") + _text(status) for name, status in found.items()))
    if asked:
        from edgeseg.cli import Terminated

        raise Terminated if asked[0] == signal.SIGTERM else KeyboardInterrupt


@contextlib.contextmanager
def _signals(box: LiveBox) -> Iterator[list[int]]:
    """The first SIGTERM or SIGINT ends the streams in order, a second one at once; SIGHUP begins new files."""
    asked: list[int] = []

    former: dict[int, Any] = {
        number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    }

    def end(number: int, frame: object) -> None:
        asked.append(number)
        box.stop()
        signal.signal(number, former[number])

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGHUP, lambda number, frame: box.reopen_sinks())
    try:
        yield asked
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


class PlainLines(logging.Formatter):
    """One line a record, and no credentials of an address in it."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the record with its time, and its exception where it has one."""
        return without_credentials(super().format(record))


class JsonLines(logging.Formatter):
    """One JSON document a record, and no credentials of an address in it."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the record as one line of JSON."""
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_credentials(record.getMessage()),
        }
        if record.exc_info:
            line["exception"] = without_credentials(self.formatException(record.exc_info))
        return json.dumps(line)


def _log_to_stderr(as_json: bool) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else PlainLines("%(asctime)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("edgeseg")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)


def _text(status: LiveStatus) -> str:
    def spread(values: dict[str, Any]) -> str:
        known = [f"{values[key]:.0f}" if values[key] is not None else "-" for key in ("p50", "p99")]
        return "/".join(known)

    lines = [
        f"{status.source}: {status.frames} frames in {status.uptime_s:.1f} s, {status.inferences} inferred, "
        f"{status.drops} not seen by the engine, {status.skipped} not shown, {status.deadline_misses} late",
        f"ms, median/p99: age of picture {spread(status.picture_age_ms)}, of mask {spread(status.mask_age_ms)}, "
        f"inference {spread(status.infer_ms)}, drawing {spread(status.compose_ms)}",
    ]
    if status.restarts or status.lost:
        lines.append(f"{status.restarts} restarts of the engine, {status.lost} frames lost with it")
    if status.drift is not None:
        lines.append(_drift_line(status.drift))
    lines += [_sink_line(sink) for sink in status.sinks if "written" in sink]
    return "\n".join(lines)


def _drift_line(drift: dict[str, Any]) -> str:
    known = {"Dice to the reference": drift["dice"], "flicker": drift["flicker"]}
    figures = [f"{name} {value:.3f}" for name, value in known.items() if value is not None]
    alarms = ", ".join(drift["alarms"]) or "none"
    lost = drift["missed"] + drift["reference_lost"]
    found = f"drift watch: {', '.join([str(drift['checks']) + ' checks', *figures])}; alarms: {alarms}"
    return found + (f"; {lost} checks without the reference" if lost else "")


def _sink_line(sink: dict[str, Any]) -> str:
    error = f": {sink['last_error']}" if sink.get("last_error") else ""
    return f"{sink['name']}: {sink['written']} written, {sink['dropped']} dropped{error}"
