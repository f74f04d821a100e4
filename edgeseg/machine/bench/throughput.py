"""Frames a second with several under way: lanes, and batches through the network alone."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

import numpy as np

from edgeseg.errors import EdgesegError
from edgeseg.machine.bench.bench_report import Throughput
from edgeseg.machine.bench.frame_latency import series_of
from edgeseg.proof.timing.clock import Clock
from edgeseg.proof.timing.conditions import Watch
from edgeseg.proof.timing.probes import Probe
from edgeseg.proof.timing.stability import Measured, StabilityRule, measure_until_stable
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.failures import ProcessLostError, TransientError
from edgeseg.runtime.engine.inputs import EngineInput
from edgeseg.runtime.engine.lossless import LosslessFrames
from edgeseg.runtime.engine.session import Session, SessionInfo

NS_PER_S = 1e9


def cpu_layouts(counts: Sequence[int], cores: int) -> list[tuple[int, int, str | None]]:
    """Sessions x threads that share the cores between them.

    Args:
        counts: Numbers of sessions that are wanted.
        cores: Cores that this process may use.

    Returns:
        Sessions, the threads of each, and why that is skipped where it makes no sense.
    """
    reason = f"more sessions than the {cores} usable core{'' if cores == 1 else 's'}"
    return [(count, max(1, cores // count), reason if count > max(1, cores) else None) for count in counts]


def frames_per_second(durations_ns: Sequence[int], frames_each: int = 1) -> float:
    """Frames a second, from the times between one end and the next.

    Args:
        durations_ns: At least one.
        frames_each: Frames that each of them stands for.
    """
    return frames_each * len(durations_ns) * NS_PER_S / sum(durations_ns)


def measure_lanes(
    opened: Callable[[], AbstractContextManager[Engine]],
    lanes: int,
    threads: int | None,
    inputs: Callable[[SessionInfo], Iterator[EngineInput]],
    rule: StabilityRule,
    clock: Clock,
    probes: Sequence[Probe],
) -> Throughput:
    """Measure with as many frames under way as there are lanes, each to its result at the network's size.

    Args:
        opened: Opens the engine in that layout.
        lanes: Frames under way.
        threads: The threads of one inference, for the report.
        inputs: The frames as the engine takes them, endless: `edgeseg run` makes them in its decoding thread.
        rule: When to stop.
        clock: The measurement's clock.
        probes: To read meanwhile.
    """
    point = Throughput(kind="lanes", lanes=lanes, threads=threads)
    try:
        with opened() as engine:
            flow = _Flow(engine, inputs(engine.info), lanes, clock)
            for _ in range(2 * lanes):
                flow.one()
            flow.latencies_ns.clear()
            with Watch(probes) as watch:
                measured = measure_until_stable(flow.one, rule, clock, statistics.fmean)
            flow.drain()
    except ProcessLostError:
        raise
    except TransientError as error:  # too little memory for so many lanes
        return point.model_copy(update={"skipped": _one_line(error)})
    latencies = Measured(tuple(flow.latencies_ns), measured.first_reported, measured.stable, measured.windows)
    series = series_of(latencies, watch.conditions)
    return point.model_copy(update={"frames_per_second": frames_per_second(measured.reported_ns), "series": series})


def measure_batch(
    session: Session,
    size: int,
    rule: StabilityRule,
    clock: Clock,
    probes: Sequence[Probe],
    threads: int | None,
) -> Throughput:
    """Batches of noise through the network alone, one after the other.

    Args:
        session: Runs batches of that size.
        size: Frames in a batch.
        rule: When to stop.
        clock: The measurement's clock.
        probes: To read meanwhile.
        threads: The threads, for the report.
    """
    point = Throughput(kind="batch", batch=size, threads=threads)
    shape = (size, *session.info.model.input_shape)
    batch = np.random.default_rng(size).integers(0, 256, shape, dtype=np.uint8)

    def one() -> int:
        started_ns = clock.now_ns()
        session.infer(batch)
        return clock.now_ns() - started_ns

    try:
        one()
        with Watch(probes) as watch:
            measured = measure_until_stable(one, rule, clock)
    except ProcessLostError:
        raise
    except TransientError as error:
        return point.model_copy(update={"skipped": _one_line(error)})
    rate = frames_per_second(measured.reported_ns, size)
    return point.model_copy(update={"frames_per_second": rate, "series": series_of(measured, watch.conditions)})


class _Flow:
    """Keeps every lane busy: one frame goes in for each that comes out."""

    def __init__(self, engine: Engine, inputs: Iterator[EngineInput], lanes: int, clock: Clock) -> None:
        self._frames: LosslessFrames[int] = LosslessFrames(engine)
        self._inputs, self._clock = inputs, clock
        self.latencies_ns: list[int] = []
        for _ in range(lanes):
            self._add()
        self._last_ns = clock.now_ns()

    def one(self) -> int:
        """Finish the oldest frame and start another; gives the time since the one before was finished."""
        submitted_ns, _ = self._frames.take()
        now_ns = self._clock.now_ns()
        self.latencies_ns.append(now_ns - submitted_ns)
        interval_ns, self._last_ns = now_ns - self._last_ns, now_ns
        self._add()
        return interval_ns

    def drain(self) -> None:
        """Let the lanes run empty."""
        while self._frames:
            self._frames.take()

    def _add(self) -> None:
        self._frames.add(self._clock.now_ns(), next(self._inputs))


def _one_line(error: EdgesegError) -> str:
    return f"{error.what} ({error.found})" if error.found else error.what
