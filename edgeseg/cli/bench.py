"""`edgeseg bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.output import JsonFlag, emit, say, table
from edgeseg.errors import ToleranceError

if TYPE_CHECKING:
    from fractions import Fraction

    from edgeseg.machine.bench.bench_frames import BenchFrames
    from edgeseg.machine.bench.bench_report import BenchReport


def bench(
    engine: Annotated[
        Path, typer.Argument(metavar="ENGINE", help="The .engine file, with its passport beside it, or a MODEL.")
    ],
    source: Annotated[
        Path | None,
        typer.Option(metavar="VIDEO", help="Frames of a video or a folder of images, decoded beforehand."),
    ] = None,
    size: Annotated[
        str, typer.Option(metavar="WxH", help="Size of the synthetic frames when there is no --source.")
    ] = "1920x1080",
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="HZ,...", help="Rates in frames a second, or none; by default the source's own, else 25,30,50,60."
        ),
    ] = None,
    budget_ms: Annotated[
        float | None,
        typer.Option(min=0, help="Time that a frame may take at a rate; by default the time until the next frame."),
    ] = None,
    lanes: Annotated[
        str, typer.Option(metavar="N,...", help="Numbers of frames in flight to measure throughput at, or none.")
    ] = "1,2,3,4",
    batch: Annotated[
        str, typer.Option(metavar="N,...", help="Batch sizes to measure throughput at, or none.")
    ] = "1,2,4,8",
    threads: Annotated[int, typer.Option(min=0, help="Threads inside one inference on a CPU; 0 takes every core.")] = 0,
    seconds: Annotated[float, typer.Option(help="Longest time of each measurement, in seconds.")] = 10.0,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Report to write (JSON).")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Plot to write: .png, .svg or .pdf.")] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Earlier report to compare with; exit code 3 if this engine is slower."),
    ] = None,
    max_growth: Annotated[
        float, typer.Option(min=0, help="With --baseline: how much the median may grow, as a share.")
    ] = 0.05,
    as_json: JsonFlag = False,
) -> None:
    """Measure an engine's latency, throughput and distance from the hardware's bound on this machine.

    Each measurement runs in windows until the medians of the last three agree within 1 %, or until --seconds are over.
    """
    from edgeseg.machine.bench.bench_report import BenchReport
    from edgeseg.machine.bench.bench_run import bench as measure
    from edgeseg.machine.bench.plan import BenchPlan, parse_counts, rule_within
    from edgeseg.machine.bench.subject import subject_of

    _check_outputs(out, plot, (engine, source, baseline))
    rule, lane_counts, batches = (
        rule_within(seconds),
        parse_counts(lanes, "--lanes", 16),
        parse_counts(batch, "--batch", 64),
    )
    before = None if baseline is None else BenchReport.read(baseline)
    subject = subject_of(engine)
    frames = _frames(source, size)
    if before is not None:
        _refuse_early(before, frames)
    plan = BenchPlan(_rates(rate, frames), budget_ms, lane_counts, batches, threads, rule=rule)
    report = measure(subject, frames, plan, say)
    _write(report, out, plot)
    if before is not None:
        report = _compared(report, before, max_growth, out)
    emit(report, as_json, _text(report, [path for path in (out, plot) if path is not None]))
    if report.comparison is not None and report.comparison.passed is not True:
        raise typer.Exit(ToleranceError.exit_code)


def _check_outputs(out: Path | None, plot: Path | None, inputs: tuple[Path | None, ...]) -> None:
    from edgeseg.files import check_writable
    from edgeseg.plot_files import check_plot

    if plot is not None:
        check_plot(plot)
    for path in (out, plot):
        if path is not None:
            check_writable(path, *inputs)


def _frames(source: Path | None, size: str) -> BenchFrames:
    from edgeseg.cli.size_argument import parse_size
    from edgeseg.machine.bench.bench_frames import frames_of, synthetic_frames

    if source is not None:
        return frames_of(source)
    typed = parse_size(size)
    return synthetic_frames(typed.height, typed.width)


def _rates(rate: str | None, frames: BenchFrames) -> tuple[Fraction, ...]:
    from edgeseg.machine.bench.plan import RATES_HZ, parse_rates

    if rate is not None:
        return parse_rates(rate)
    return RATES_HZ if frames.rate is None else (frames.rate,)


def _refuse_early(before: BenchReport, frames: BenchFrames) -> None:
    from edgeseg.machine.bench.report_comparison import refuse_other_machine
    from edgeseg.runtime.engine.machine import describe_machine

    refuse_other_machine(before, describe_machine(), frames.height, frames.width)


def _compared(report: BenchReport, before: BenchReport, max_growth: float, out: Path | None) -> BenchReport:
    from edgeseg.machine.bench.report_comparison import compare

    report = report.model_copy(update={"comparison": compare(report, before, max_growth)})
    if out is not None:
        report.write(out)
    return report


def _write(report: BenchReport, out: Path | None, plot: Path | None) -> None:
    """Check the baseline first, so that minutes of measuring are not lost to one of another machine."""
    from edgeseg.machine.bench.plot import write_plot

    if out is not None:
        report.write(out)
    if plot is not None:
        write_plot(report, plot)


def _text(report: BenchReport, written: list[Path]) -> str:
    from edgeseg.machine.bench.summary import footing, heading, tables

    lines = [*heading(report), *(table(*parts) for parts in tables(report)), *footing(report)]
    if written:
        lines.append(f"wrote {', '.join(map(str, written))}")
    return "\n".join([*lines, f"{report.notice}."])
