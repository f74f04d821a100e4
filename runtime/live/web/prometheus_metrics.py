"""A stream's status as Prometheus metrics, made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    "restarts": "Restarts of engine processes.",
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
QUANTILES = {"p50": "0.5", "p99": "0.99"}


class StatusCollector:
    """Gives the figures of one status a scrape; nothing is counted twice.

    Args:
        status: Asks the stream.
    """

    def __init__(self, status: Callable[[], LiveStatus]) -> None:
        self._status = status

    def collect(self) -> Iterator[Any]:
        """The metric families."""
        core = require("prometheus_client.core")
        status = self._status()
        for name, text in COUNTERS.items():
            yield core.CounterMetricFamily(f"edgeseg_{name}", text, value=getattr(status, name))
        state = core.GaugeMetricFamily("edgeseg_state", "1 for the state that the stream is in.", labels=["state"])
        for word in get_args(State):
            state.add_metric([word], float(word == status.state))
        yield state
        for name, text in SPREADS.items():
            yield self._spread(core, name, text, getattr(status, f"{name}_ms"))
        fps = core.GaugeMetricFamily("edgeseg_fps", "Frames shown per second.")
        fps.add_metric([], status.fps or 0.0)
        yield fps
        yield from self._sinks(core, status)
        if status.drift is not None:
            yield from self._drift(core, status.drift)
        labels = {"backend": status.backend, "precision": status.precision, "engine": status.engine}
        yield core.InfoMetricFamily("edgeseg_engine", "What segments.", value=labels)

    @staticmethod
    def _spread(core: Any, name: str, text: str, values: dict[str, float | None]) -> Any:
        family = core.GaugeMetricFamily(f"edgeseg_{name}_seconds", f"{text} Of the newest frames.", labels=["quantile"])
        for key, quantile in QUANTILES.items():
            value = values.get(key)
            if value is not None:
                family.add_metric([quantile], value / 1e3)
        return family

    @staticmethod
    def _drift(core: Any, drift: dict[str, Any]) -> Iterator[Any]:
        for figure, text in DRIFT_COUNTERS.items():
            yield core.CounterMetricFamily(f"edgeseg_drift_{figure}", text, value=drift[figure])
        for figure, text in DRIFT_FIGURES.items():
            if drift[figure] is not None:
                yield core.GaugeMetricFamily(f"edgeseg_drift_{figure}", text, value=drift[figure])
        distance = core.GaugeMetricFamily(
            "edgeseg_drift_distance",
            "Distance from the training pictures, in their standard deviations, signed.",
            labels=["statistic"],
        )
        for name, value in drift["distances"].items():
            distance.add_metric([name], value)
        alarm = core.GaugeMetricFamily("edgeseg_drift_alarm", "1 for each alarm that is up.", labels=["alarm"])
        for name in drift["alarms"]:
            alarm.add_metric([name], 1.0)
        state = core.GaugeMetricFamily("edgeseg_drift_reference_up", "1 if the reference answers.")
        state.add_metric([], float(drift["reference_state"] in ("ready", "live")))
        fallen = core.GaugeMetricFamily("edgeseg_drift_fallen_back", "1 if the reference runs in place of the engine.")
        fallen.add_metric([], float(drift["fall_back"] == "done"))
        yield from (distance, alarm, state, fallen)

    @staticmethod
    def _sinks(core: Any, status: LiveStatus) -> Iterator[Any]:
        for figure, text in (
            ("written", "Frames that a sink took."),
            ("dropped", "Frames that a sink had no time for."),
            ("covers", "Covers that a sink sent where its viewers had no picture to see."),
        ):
            family = core.CounterMetricFamily(f"edgeseg_sink_{figure}", text, labels=["sink"])
            for sink in status.sinks:
                family.add_metric([str(sink["name"])], float(sink.get(figure, 0)))
            yield family


def exposition(status: Callable[[], LiveStatus]) -> tuple[bytes, str]:
    """The metrics as text, and its media type."""
    client = require("prometheus_client")
    registry = client.CollectorRegistry()
    registry.register(StatusCollector(status))
    return client.generate_latest(registry), client.CONTENT_TYPE_LATEST
