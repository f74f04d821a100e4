"""Times an engine on labelled images, with the conditions of the machine and what the slow end rests on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np

from edgeseg.artifacts import Conditions, LatencyEvidence
from edgeseg.errors import EdgesegError
from edgeseg.proof.timing.conditions import Watch, find_probes
from edgeseg.proof.timing.disturbances import disturbances
from edgeseg.proof.timing.nvml_probe import gpu_bus_id
from edgeseg.proof.timing.probes import Probe
from edgeseg.proof.timing.quantile_interval import quantile_interval
from edgeseg.runtime.cuda.driver import CudaDevice
from edgeseg.runtime.engine.engine import Engine

LEAST_FOR_P99_9 = 1000
"""Below this a 99.9th percentile is the maximum under another name."""


def evidence_of(samples_ms: Sequence[float], conditions: Conditions) -> LatencyEvidence:
    """Sum up what a p99 and a p99.9 rest on.

    Args:
        samples_ms: End-to-end times, at least one.
        conditions: The machine's meanwhile.
    """
    count = len(samples_ms)
    return LatencyEvidence(
        samples=count,
        p99_interval_ms=quantile_interval(samples_ms, 0.99),
        p99_9_ms=float(np.percentile(samples_ms, 99.9)) if count >= LEAST_FOR_P99_9 else None,
        conditions=conditions,
        disturbances=disturbances(conditions),
    )


@contextlib.contextmanager
def watched(engine: Engine) -> Iterator[Watch]:
    """Read the sensors of the machine that an engine runs on while the block runs; `conditions` afterwards."""
    probes = _probes(engine)
    try:
        with Watch(probes) as watch:
            yield watch
    finally:
        for probe in probes:
            probe.close()


def _probes(engine: Engine) -> tuple[Probe, ...]:
    if engine.device_name is None:
        return find_probes(None)
    try:
        with CudaDevice():
            return find_probes(gpu_bus_id())
    except EdgesegError:  # a verdict without the GPU's sensors is better than none
        return find_probes(None)
