"""The values of a measurement of time: distributions, ratios, and the conditions that they were measured under."""

from __future__ import annotations

from typing import Literal

from edgeseg.artifacts.passport_values import Precision
from edgeseg.artifacts.proof_values import ConfidenceInterval
from edgeseg.values import Part


class Percentiles(Part):
    """The distribution of one duration over the frames, in milliseconds."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    mean_ms: float


class SensorSpread(Part):
    """The values of a sensor during one measurement."""

    minimum: float
    median: float
    maximum: float


class Conditions(Part):
    """Clocks, power, temperature and company during one measurement, sampled beside it."""

    samples: int = 0
    """How often the sensors were read."""
    clocks_mhz: dict[str, SensorSpread] | None = None
    power_watts: dict[str, SensorSpread] | None = None
    """Power of each rail or device."""
    temperature_c: dict[str, SensorSpread] | None = None
    """Temperature of each zone or device."""
    throttle: dict[str, float] | None = None
    """Reason -> share of the samples that showed it; empty where none did."""
    process_cores: float | None = None
    """Cores that this process kept busy, on average."""
    other_cores: float | None = None
    """Cores that everything else on the machine kept busy: more than a few tenths spoil a measurement on a CPU."""
    throttled_periods: int | None = None
    """Periods in which the processor quota of the control group made it wait; None where nothing tells."""


class TimeShare(Part):
    """One engine's time over another's, block by block: its quickest of a few rounds in a row counts."""

    ratio: float
    """Median over the blocks; below 1 the first engine is the quicker one."""
    interval: ConfidenceInterval
    """Interval of that median over the blocks."""
    saved_ms: float
    """The other engine's time minus the first one's, likewise; positive where the first is quicker."""
    saved_interval: ConfidenceInterval
    outcome: Literal["quicker", "slower", "within noise"]
    """`within noise`: the interval includes 1, or the difference is no larger than one between two openings of the same
    engine."""


class QuantileInterval(Part):
    """The confidence interval of a quantile, between two of the values that were measured."""

    low: float | None
    """None where so few values leave this end open; likewise the next."""
    high: float | None
    level: float = 0.95


class LatencyEvidence(Part):
    """How far the slow end of the times of single images can be trusted."""

    samples: int
    """The times that it rests on."""
    p99_interval_ms: QuantileInterval
    p99_9_ms: float | None = None
    """None where there are fewer than 1,000 samples: a 99.9th percentile would be the maximum under another name."""
    conditions: Conditions
    disturbances: tuple[str, ...] = ()
    """Whatever was seen to disturb the measurement, one clause each."""


class BaselineTiming(Part):
    """An engine and a baseline engine, timed in turns in one run, so that noise hits both."""

    baseline_sha256: str
    baseline_backend: str
    baseline_precision: Precision
    rounds: int
    """Every opening segments the same picture once in each, for the record."""
    stable: bool
    """True if the level of a round stood still, by the rule of `edgeseg bench`."""
    engine: Percentiles
    """The engine's times from frame to mask, as measured."""
    baseline: Percentiles
    engine_samples_ms: tuple[float, ...]
    """One for each round."""
    baseline_samples_ms: tuple[float, ...]
    over_baseline: TimeShare
    """The engine's undisturbed time over the baseline's; `outcome` takes `noise` into account."""
    p99_ratio: float
    """The engine's p99 over the baseline's, as measured."""
    p99_ratio_interval: QuantileInterval
    twin: TimeShare
    """A second opening of the baseline over the first: the differences that this machine shows where there are none."""
    noise: float
    """The farthest that `twin` reaches from 1, interval included."""
    conditions: Conditions
    disturbances: tuple[str, ...] = ()
    """Whatever was seen to disturb the measurement, one clause each."""
