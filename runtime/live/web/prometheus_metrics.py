"""The status of a box's streams as Prometheus metrics, made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

from edgeseg.optional import require
from edgeseg.runtime.live.live_values import State
from edgeseg.runtime.live.status import LiveStatus

COUNTERS = {
    "frames": "Frames that were shown.",
    "inferences": "Frames that the engine segmented.",
    "drops": "Frames that the engine did not see because a newer one came.",
    "skipped": "Frames that were not shown because the machine was too slow.",
    "lost": "Frames that were lost with an engine's process or refused by it.",
    "gated": "Frames that show no tissue.",
    "deadline_misses": "Frames that were shown after their deadline.",
}
SPREADS = {
    "picture_age": "Time from a frame's arrival to its presentation.",
    "mask_age": "Time from the arrival of a mask's frame to its presentation.",
    "infer": "Inference.",
    "compose": "Time from taking up a frame to its presentation.",
}
DRIFT_COUNTERS = {
    "checks": "Frames that the reference checked.",
    "missed": "Frames that were due for a check while the reference was busy or absent.",
    "reference_lost": "Frames that the reference did not answer.",
    "reference_restarts": "Restarts of the reference's process.",
}
DRIFT_FIGURES = {
    "dice": "Pooled Dice of the engine's and the reference's newest masks.",
    "flicker": "Mean of 1 - IoU of neighbouring masks, moved as the picture moved.",
}
ALARM = "1 for each alarm that is up."
SHADOW_DICE = "Pooled Dice of the new engine's and the shown one's masks of the newest compared frames."
DISTANCE = "Distance from the training pictures, in their standard deviations, signed."
QUANTILES = {"p50": "0.5", "p99": "0.99"}


class StatusCollector:
    """Collects the metrics of one moment.

    Series of a stream carry the label ``stream``; that of a single stream without a name is empty, so it has none.

    Args:
        statuses: Asks the streams, by name.
    """

    def __init__(self, statuses: Callable[[], Mapping[str, LiveStatus]]) -> None:
        self._statuses = statuses

    def collect(self) -> Iterator[Any]:
        """The metric families."""
        statuses = self._statuses()
        families = _Families()
        for name, status in statuses.items():
            families.stream = {"stream": name} if name else {}
            _add_figures(families, status)
            _add_sinks(families, status)
            if status.drift is not None:
                _add_drift(families, status.drift)
        families.stream = {}
        box = next(iter(statuses.values()))
        _add_engine(families, box)
        if box.roll_out is not None:
            _add_roll_out(families, box.roll_out)
        yield from families.found.values()


class _Families:
    """Metric families that grow stream by stream."""

    def __init__(self) -> None:
        self._core = require("prometheus_client.core")
        self.found: dict[str, Any] = {}
        self.stream: dict[str, str] = {}
        """The label of the stream whose figures are added now."""

    def counter(self, name: str, text: str, value: float, **labels: str) -> None:
        self._add(self._core.CounterMetricFamily, name, text, value, labels)

    def gauge(self, name: str, text: str, value: float, **labels: str) -> None:
        self._add(self._core.GaugeMetricFamily, name, text, value, labels)

    def spread(self, name: str, text: str, values_ms: Mapping[str, float | None]) -> None:
        """Quantiles of a sliding window, which is what a summary is; those that are known."""
        if name not in self.found:
            self.found[name] = self._core.Metric(f"edgeseg_{name}", text, "summary")
        for key, quantile in QUANTILES.items():
            value_ms = values_ms.get(key)
            if value_ms is not None:
                self.found[name].add_sample(f"edgeseg_{name}", {**self.stream, "quantile": quantile}, value_ms / 1e3)

    def info(self, name: str, text: str, **labels: str) -> None:
        self.found[name] = self._core.InfoMetricFamily(f"edgeseg_{name}", text, value=labels)

    def empty(self, name: str, text: str, *labels: str) -> None:
        """Say that there is such a gauge, though it may have no value now."""
        kind = self._core.GaugeMetricFamily
        self.found.setdefault(name, kind(f"edgeseg_{name}", text, labels=[*self.stream, *labels]))

    def _add(self, kind: Any, name: str, text: str, value: float, labels: dict[str, str]) -> None:
        every = {**self.stream, **labels}
        if name not in self.found:
            self.found[name] = kind(f"edgeseg_{name}", text, labels=list(every))
        self.found[name].add_metric(list(every.values()), float(value))


def _add_figures(families: _Families, status: LiveStatus) -> None:
    for name, text in COUNTERS.items():
        families.counter(name, text, getattr(status, name))
    for word in get_args(State):
        families.gauge("state", "1 for the state that the stream is in.", word == status.state, state=word)
    for name, text in SPREADS.items():
        families.spread(f"{name}_seconds", f"{text} Of the newest frames.", getattr(status, f"{name}_ms"))
    families.gauge("mask_limit_seconds", "The age at which a mask is taken down.", status.mask_limit_ms / 1e3)
    families.gauge("fps", "Frames shown per second.", status.fps or 0.0)


def _add_sinks(families: _Families, status: LiveStatus) -> None:
    for figure, text in (
        ("written", "Frames that a sink took."),
        ("dropped", "Frames that a sink had no time for."),
        ("covers", "Covers that a sink sent where its viewers had no picture to see."),
    ):
        for sink in status.sinks:
            families.counter(f"sink_{figure}", text, sink.get(figure, 0), sink=str(sink["name"]))


def _add_drift(families: _Families, drift: dict[str, Any]) -> None:
    for figure, text in DRIFT_COUNTERS.items():
        families.counter(f"drift_{figure}", text, drift[figure])
    for figure, text in DRIFT_FIGURES.items():
        families.empty(f"drift_{figure}", text)
        if drift[figure] is not None:
            families.gauge(f"drift_{figure}", text, drift[figure])
    families.empty("drift_alarm", ALARM, "alarm")
    families.empty("drift_distance", DISTANCE, "statistic")
    for name, value in drift["distances"].items():
        families.gauge("drift_distance", DISTANCE, value, statistic=name)
    for name in drift["alarms"]:
        families.gauge("drift_alarm", ALARM, 1, alarm=name)
    up = drift["reference_state"] in ("ready", "live")
    families.gauge("drift_reference_up", "1 if the reference answers.", up)
    fallen_back = drift["fall_back"] == "done"
    families.gauge("drift_fallen_back", "1 if the reference runs in place of the engine.", fallen_back)


def _add_engine(families: _Families, status: LiveStatus) -> None:
    """The engine, which all streams share."""
    families.counter("restarts", "Restarts of engine processes.", status.restarts)
    families.info("engine", "What segments.", backend=status.backend, precision=status.precision, engine=status.engine)


def _add_roll_out(families: _Families, report: dict[str, Any]) -> None:
    shadow = report["shadow"]
    shown = report["phase"] == "shown"
    families.gauge("roll_out_shown", "1 while the new engine is shown; the old one is kept warm.", shown)
    families.counter("roll_out_switches", "Changes to the new engine.", report["switches"])
    families.counter("roll_out_backs", "Times that the new engine was taken back by itself.", report["backs"])
    families.gauge("shadow_up", "1 if the new engine answers unseen.", shadow["is_ready"])
    families.counter("shadow_compared", "Frames that both engines answered.", shadow["compared"])
    families.counter("shadow_lost", "Frames that the new engine did not answer unseen.", shadow["lost"])
    families.counter("shadow_one_sided", "Frames that one engine alone marks something in.", shadow["one_sided"])
    families.empty("shadow_dice", SHADOW_DICE)
    if shadow["dice"] is not None:
        families.gauge("shadow_dice", SHADOW_DICE, shadow["dice"])
    families.spread("shadow_infer_seconds", "Inference of the new engine, unseen.", shadow["infer_ms"])


def exposition(statuses: Callable[[], Mapping[str, LiveStatus]]) -> tuple[bytes, str]:
    """The metrics as text, and its media type.

    Args:
        statuses: Asks the streams, by name.
    """
    client = require("prometheus_client")
    registry = client.CollectorRegistry()
    registry.register(StatusCollector(statuses))
    return client.generate_latest(registry), client.CONTENT_TYPE_LATEST
