"""Tests of what the drift watch tells Prometheus; the other figures are read behind a server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgeseg.runtime.live.web.prometheus_metrics import exposition
from tests.runtime.live.web.conftest import STATUS

DRIFT = {
    "reference_state": "ready",
    "reference_restarts": 2,
    "reference_lost": 3,
    "checks": 40,
    "missed": 5,
    "dice": 0.8,
    "flicker": None,
    "distances": {"hue": -3.5},
    "alarms": ["dice", "hue"],
    "fall_back": "armed",
}


def _samples(drift: dict[str, Any] | None) -> dict[tuple[str, str], float]:
    parser = pytest.importorskip("prometheus_client.parser")
    text = exposition(lambda: {"": replace(STATUS, drift=drift)})[0].decode()
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("edgeseg_drift")
    }


def test_figures_alarms_and_the_reference_are_told() -> None:
    assert _samples(DRIFT) == {
        ("edgeseg_drift_checks_total", ""): 40,
        ("edgeseg_drift_missed_total", ""): 5,
        ("edgeseg_drift_reference_lost_total", ""): 3,
        ("edgeseg_drift_reference_restarts_total", ""): 2,
        ("edgeseg_drift_dice", ""): 0.8,
        ("edgeseg_drift_distance", "hue"): -3.5,
        ("edgeseg_drift_alarm", "dice"): 1,
        ("edgeseg_drift_alarm", "hue"): 1,
        ("edgeseg_drift_reference_up", ""): 1,
        ("edgeseg_drift_fallen_back", ""): 0,
    }
    fallen = _samples(DRIFT | {"fall_back": "done", "reference_state": "live", "dice": None})
    assert fallen["edgeseg_drift_fallen_back", ""] == 1 and ("edgeseg_drift_dice", "") not in fallen


def test_without_a_drift_watch_nothing_is_told_of_it() -> None:
    assert _samples(None) == {}
