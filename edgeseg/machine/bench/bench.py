"""The bench itself: open, measure, sum up."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import edgeseg
from edgeseg.artifacts import Percentiles
from edgeseg.machine.bench.clock import Clock, MonotonicClock
from edgeseg.machine.bench.company import load_average
from edgeseg.machine.bench.conditions import power_mode
from edgeseg.machine.bench.cpu_peaks import cpu_peaks
from edgeseg.machine.bench.device import Device, find_device
from edgeseg.machine.bench.frames import BenchFrames
from edgeseg.machine.bench.latency import measure_back_to_back, measure_paced
from edgeseg.machine.bench.notes import notes_on
from edgeseg.machine.bench.plan import BenchPlan
from edgeseg.machine.bench.probes import Probe
from edgeseg.machine.bench.report import BenchReport, PacedSeries, Roofline, Series, Settings, Throughput
from edgeseg.machine.bench.roofline import roofline_of
from edgeseg.machine.bench.subject import Subject
from edgeseg.machine.bench.targets import BenchTarget, Layout
from edgeseg.machine.bench.throughput import cpu_layouts, measure_batch, measure_lanes
from edgeseg.progress import Say, quiet
from edgeseg.runtime.cuda.errors import DeviceMemoryError
from edgeseg.runtime.engine.machine import describe_machine, usable_cores
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
        with contextlib.closing(subject.open_target(work.layout)) as target:
            device = sensors.enter_context(contextlib.closing(find_device(subject.on_cpu, bool(subject.tf32))))
            settings = work.settings(device, pinned=target.pin(frames.block))
            back_to_back, stages = work.back_to_back(target, device.probes)
            paced = work.paced(target, device.probes)
            batches = work.batches(target, device.probes) if subject.on_cpu else []
            info = target.info
        stages = stages or work.stages(device.probes)
        batches = batches or work.gpu_batches(device.probes)
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

    @property
    def layout(self) -> Layout:
        """The layout for one frame at a time."""
        return Layout(threads=self.plan.threads, frame_bytes=self.frames.images[0].nbytes)

    @property
    def threads(self) -> int | None:
        """Inside one inference; None on a GPU."""
        return (self.plan.threads or usable_cores()) if self.subject.on_cpu else None

    def back_to_back(self, target: BenchTarget, probes: Sequence[Probe]) -> tuple[Series, dict[str, Percentiles]]:
        """One frame after the other."""
        self.say(f"back to back, {self.frames.name}")
        return measure_back_to_back(target, self.frames.endless(), self.plan.rule, self.clock, probes)

    def stages(self, probes: Sequence[Probe]) -> dict[str, Percentiles]:
        """Once more with the GPU's own times, which the figure of the whole must not pay for."""
        self.say("stages, timed by the GPU")
        with self._opened(replace(self.layout, stage_times=True)) as target:
            return measure_back_to_back(target, self.frames.endless(), self.plan.rule, self.clock, probes)[1]

    def paced(self, target: BenchTarget, probes: Sequence[Probe]) -> tuple[PacedSeries, ...]:
        """Measure the latency at each rate."""
        results = []
        for rate in self.plan.rates:
            self.say(f"{float(rate):.4g} frames a second")
            endless, rule = self.frames.endless(), self.plan.rule
            results.append(measure_paced(target, endless, rate, self.plan.budget_ms, rule, self.clock, probes))
        return tuple(results)

    def batches(self, target: BenchTarget, probes: Sequence[Probe]) -> list[Throughput]:
        """Each batch."""
        results = []
        for size in self.plan.batches:
            self.say(f"batch {size}")
            results.append(measure_batch(target, size, self.plan.rule, self.clock, probes, self.threads))
        return results

    def gpu_batches(self, probes: Sequence[Probe]) -> list[Throughput]:
        """Each batch, by a session that has set memory aside for them, which those before need not."""
        sizes = self.plan.batches
        if not sizes:
            return []
        try:
            with self._opened(replace(self.layout, largest_batch=max(sizes))) as target:
                return self.batches(target, probes)
        except DeviceMemoryError as error:
            return [Throughput(kind="batch", batch=size, skipped=error.what) for size in sizes]

    def lanes(self, probes: Sequence[Probe]) -> list[Throughput]:
        """Each number of lanes; on a CPU, of sessions that share the cores."""
        if self.subject.on_cpu:
            layouts = cpu_layouts(self.plan.lanes, usable_cores())
        else:
            layouts = [(Layout(lanes=count), None) for count in self.plan.lanes]
        results = []
        for layout, refusal in layouts:
            if refusal is None:
                self.say(f"{layout.lanes} lane{'' if layout.lanes == 1 else 's'}")
                results.append(self._lanes_of(layout, probes))
            else:
                threads = layout.threads or None
                results.append(Throughput(kind="lanes", lanes=layout.lanes, threads=threads, skipped=refusal))
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
    def _opened(self, layout: Layout) -> Iterator[BenchTarget]:
        with contextlib.closing(self.subject.open_target(layout)) as target:
            target.pin(self.frames.block)
            yield target

    def _lanes_of(self, layout: Layout, probes: Sequence[Probe]) -> Throughput:
        fitting = replace(layout, frame_bytes=self.layout.frame_bytes)
        frames, rule = self.frames.endless(), self.plan.rule
        return measure_lanes(lambda: self._opened(fitting), fitting, frames, rule, self.clock, probes)
