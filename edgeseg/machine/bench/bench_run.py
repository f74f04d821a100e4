"""The bench itself: open, measure, sum up."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import edgeseg
from edgeseg.artifacts import Percentiles
from edgeseg.machine.bench.bench_frames import BenchFrames
from edgeseg.machine.bench.bench_report import BenchReport, PacedSeries, Roofline, Series, Settings, Throughput
from edgeseg.machine.bench.cpu_peaks import cpu_peaks
from edgeseg.machine.bench.device import Device, find_device
from edgeseg.machine.bench.frame_latency import measure_back_to_back, measure_paced
from edgeseg.machine.bench.notes import notes_on
from edgeseg.machine.bench.plan import BenchPlan
from edgeseg.machine.bench.roofline import roofline_of
from edgeseg.machine.bench.subject import Subject
from edgeseg.machine.bench.throughput import cpu_layouts, measure_batch, measure_lanes
from edgeseg.progress import Say, quiet
from edgeseg.proof.timing.clock import Clock, MonotonicClock
from edgeseg.proof.timing.company import load_average
from edgeseg.proof.timing.conditions import power_mode
from edgeseg.proof.timing.probes import Probe
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.engine_layout import SessionLayout
from edgeseg.runtime.engine.failures import ProcessLostError, TransientError
from edgeseg.runtime.engine.machine import describe_machine, usable_cores
from edgeseg.runtime.opener.use import Use, bench_use
from edgeseg.specs import ModelSpec

FLOAT32_BYTES = 4


def bench(
    subject: Subject, frames: BenchFrames, plan: BenchPlan, say: Say = quiet, clock: Clock | None = None
) -> BenchReport:
    """Measure an engine. Minutes; nothing else should run meanwhile, and what did run is in the report.

    Args:
        subject: The engine.
        frames: Cycled from memory.
        plan: What to measure.
        say: Told what comes next.
        clock: To measure by.

    Raises:
        EdgesegError: From opening or running the engine.
    """
    work = _Work(subject, frames, plan, say, clock or MonotonicClock())
    before = load_average()
    with contextlib.ExitStack() as sensors:
        device = sensors.enter_context(contextlib.closing(find_device(subject.on_cpu, bool(subject.tf32))))
        with work.opened(work.use()) as (engine, pinned):
            settings = work.settings(device, pinned=pinned)
            back_to_back, stages = work.back_to_back(engine, device.probes)
            paced = work.paced(engine, device.probes)
            info = engine.info
        stages = stages or work.stages(device.probes)
        batches = work.batches(device.probes)
        lanes = work.lanes(device.probes)
        roofline, missing = work.roofline(device, stages, info.model)
    report = BenchReport(
        engine_sha256=info.sha256,
        backend=info.backend,
        backend_version=subject.backend_version,
        precision=info.precision,
        model=info.model,
        machine=describe_machine(),
        gpu=device.gpu_name,
        settings=settings,
        back_to_back=back_to_back,
        stages=stages,
        paced=paced,
        throughput=(*lanes, *batches),
        roofline=roofline,
        roofline_missing=missing,
        load_before=before,
        load_after=load_average(),
        edgeseg_version=edgeseg.__version__,
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    )
    return report.model_copy(update={"notes": notes_on(report)})


@dataclass(frozen=True)
class _Work:
    """The measurements of one bench, each told before it begins."""

    subject: Subject
    frames: BenchFrames
    plan: BenchPlan
    say: Say
    clock: Clock

    def use(self, at_once: int = 1, threads: int | None = None, stage_times: bool = False) -> Use:
        """The use for so many frames at a time."""
        return bench_use(
            at_once, self.plan.threads if threads is None else threads, self.frames.frame_bytes, stage_times
        )

    @property
    def threads(self) -> int | None:
        """Inside one inference; None on a GPU."""
        return (self.plan.threads or usable_cores()) if self.subject.on_cpu else None

    def back_to_back(self, engine: Engine, probes: Sequence[Probe]) -> tuple[Series, dict[str, Percentiles]]:
        """One frame after the other."""
        self.say(f"back to back, {self.frames.name}")
        return measure_back_to_back(engine, self.frames.endless(), self.plan.rule, self.clock, probes)

    def stages(self, probes: Sequence[Probe]) -> dict[str, Percentiles]:
        """Once more with the GPU's own times, which the figure of the whole must not pay for."""
        self.say("stages, timed by the GPU")
        with self.opened(self.use(stage_times=True)) as (engine, _):
            return measure_back_to_back(engine, self.frames.endless(), self.plan.rule, self.clock, probes)[1]

    def paced(self, engine: Engine, probes: Sequence[Probe]) -> tuple[PacedSeries, ...]:
        """Measure the latency at each rate."""
        results = []
        for rate in self.plan.rates:
            self.say(f"{float(rate):.4g} frames a second")
            endless, rule = self.frames.endless(), self.plan.rule
            results.append(measure_paced(engine, endless, rate, self.plan.budget_ms, rule, self.clock, probes))
        return tuple(results)

    def batches(self, probes: Sequence[Probe]) -> list[Throughput]:
        """Each batch, by a session in this process; on a GPU by one that has set memory aside for the largest."""
        runs = [size for size in self.plan.batches if size <= self.subject.largest_batch]
        results = {
            size: Throughput(kind="batch", batch=size, threads=self.threads, skipped=self._too_large())
            for size in self.plan.batches
        }
        if runs:
            layout = SessionLayout(self.plan.threads, largest_batch=max(runs))
            try:
                with contextlib.closing(self.subject.open_session(layout)) as session:
                    for size in runs:
                        self.say(f"batch {size}")
                        results[size] = measure_batch(session, size, self.plan.rule, self.clock, probes, self.threads)
            except ProcessLostError:
                raise
            except TransientError as error:  # the GPU has no memory for them
                for size in runs:
                    results[size] = Throughput(kind="batch", batch=size, skipped=error.what)
        return list(results.values())

    def _too_large(self) -> str:
        return f"the engine was built for batches of at most {self.subject.largest_batch}"

    def lanes(self, probes: Sequence[Probe]) -> list[Throughput]:
        """Each number of lanes; on a CPU, of sessions that share the cores."""
        if self.subject.on_cpu:
            layouts = cpu_layouts(self.plan.lanes, usable_cores())
        else:
            layouts = [(count, 0, None) for count in self.plan.lanes]
        results = []
        for count, threads, refusal in layouts:
            if refusal is None:
                self.say(f"{count} lane{'' if count == 1 else 's'}")
                results.append(self._lanes_of(count, threads, probes))
            else:
                results.append(Throughput(kind="lanes", lanes=count, threads=threads or None, skipped=refusal))
        return results

    def roofline(
        self, device: Device, stages: Mapping[str, Percentiles], model: ModelSpec
    ) -> tuple[Roofline | None, str | None]:
        """The bound, or why there is none."""
        if not self.plan.roofline:
            return None, "not asked for"
        if self.subject.costs is None:
            return None, self.subject.costs_missing
        if "infer" not in stages:
            return None, "the inference alone was not timed"
        if self.subject.on_cpu:
            self.say("the CPU's peaks")
        peaks = cpu_peaks() if self.subject.on_cpu else device.gpu_peaks
        if peaks is None:
            return None, f"the peaks of {device.gpu_name} are not known"
        pixels = model.height * model.width
        picture_bytes = 3 * pixels + FLOAT32_BYTES * model.channels * pixels
        return roofline_of(self.subject.costs, picture_bytes, peaks, stages["infer"].p50_ms), None

    def settings(self, device: Device, *, pinned: bool) -> Settings:
        """How it is measured."""
        rule = self.plan.rule
        return Settings(
            source=self.frames.name,
            frame_height=self.frames.height,
            frame_width=self.frames.width,
            frames_pinned=pinned,
            threads=self.threads,
            tf32=self.subject.tf32,
            power_mode=power_mode(device.probes),
            window_samples=rule.window_samples,
            window_s=rule.window_s,
            agreeing_windows=rule.windows,
            tolerance=rule.tolerance,
            max_s=rule.max_s,
        )

    @contextlib.contextmanager
    def opened(self, use: Use) -> Iterator[tuple[Engine, bool]]:
        """The engine, and whether a GPU reads the frames from page-locked memory."""
        with contextlib.closing(self.subject.open_engine(use)) as engine:
            yield engine, engine.pin(self.frames.block)

    def _lanes_of(self, lanes: int, threads: int, probes: Sequence[Probe]) -> Throughput:
        @contextlib.contextmanager
        def opened() -> Iterator[Engine]:
            with self.opened(self.use(lanes, threads)) as (engine, _):
                yield engine

        rule, inputs = self.plan.rule, self.frames.endless_inputs
        return measure_lanes(opened, lanes, threads or None, inputs, rule, self.clock, probes)
