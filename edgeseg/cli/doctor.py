"""`edgeseg doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from edgeseg.cli.output import JsonFlag, emit, grid, say, table, track

if TYPE_CHECKING:
    from edgeseg.machine.doctor.checks import DoctorReport
    from edgeseg.machine.doctor.machine_view import MachineView
    from edgeseg.machine.qualify.qualification_values import EngineQualification, Qualification, QualifyOptions

T = TypeVar("T")
LONGEST_SOAK_S = 7 * 86400.0
OF_QUALIFY = ("data", "split", "out", "precision", "soak_seconds")


def doctor(
    context: typer.Context,
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="MODEL", help="With --qualify: an .onnx file or a model package; default: the package kvasir-small."
        ),
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Backend that must work here, else exit code 4; with --qualify, the one to qualify. Repeatable.",
        ),
    ] = None,
    qualify: Annotated[
        bool, typer.Option("--qualify", help="Build, compare, soak and measure every engine that can be built here.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Labelled images; by default synthetic frames, which prove no accuracy."),
    ] = None,
    split: Annotated[str, typer.Option(help="Split of the labelled images: train, validation or test.")] = "test",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for engines, qualify.json and qualify.html.")] = Path(
        "qualify"
    ),
    precision: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Precision to qualify: fp32, fp16 or int8; by default all. Repeatable."),
    ] = None,
    soak_seconds: Annotated[
        float, typer.Option(min=0, max=LONGEST_SOAK_S, help="How long to soak each engine, in seconds.")
    ] = 30.0,
    as_json: JsonFlag = False,
) -> None:
    """Say what this machine has and lacks for each part of the path; --qualify proves its engines."""
    from edgeseg.artifacts import PRECISIONS
    from edgeseg.machine.doctor.auto_choice import ask_builders
    from edgeseg.machine.doctor.machine_examination import examine
    from edgeseg.machine.doctor.machine_view import this_machine
    from edgeseg.runtime.engine.backends import backend_names

    _check_usage(context, model, qualify)
    backends, precisions = (
        _known(context, "backend", backend, backend_names()),
        _known(context, "precision", precision, PRECISIONS),
    )
    view = this_machine()
    report = examine(view, ask_builders)
    if qualify:
        from edgeseg.machine.qualify.qualification_values import QualifyOptions
        from edgeseg.proof.verdict.soak import SoakLimits

        options = QualifyOptions(data, split, out, backends, precisions or PRECISIONS, SoakLimits(soak_seconds))
        _qualify(model, options, report, view, as_json)
        return
    _report(report, backends, as_json)


def _check_usage(context: typer.Context, model: Path | None, qualify: bool) -> None:
    given = [
        "--" + name.replace("_", "-")
        for name in OF_QUALIFY
        if (source := context.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"
    ]
    if not qualify and (model is not None or given):
        context.fail(f"{', '.join(given or ['MODEL'])}: use with --qualify only")


def _known(context: typer.Context, option: str, given: list[str] | None, names: tuple[T, ...]) -> tuple[T, ...]:
    unknown = [name for name in given or [] if name not in names]
    if unknown:
        context.fail(f"--{option} {unknown[0]} is not one of {', '.join(map(str, names))}")
    return tuple(name for name in names if name in (given or ()))


def _report(report: DoctorReport, demanded: tuple[str, ...], as_json: bool) -> None:
    from edgeseg.errors import MissingComponentError

    lacking = [name for name in demanded if not report.backend(name).runs]
    works = report.base_works and not lacking
    document = {"works": works, "base_works": report.base_works, "demanded": list(demanded), "lacking": lacking}
    emit(document | report.to_dict(), as_json, _text(report))
    if works:
        return
    for name in lacking:
        state = report.backend(name)
        say(f"{name} was asked for: {state.reason}\n  next: {state.next_command}")
    raise typer.Exit(MissingComponentError.exit_code)


def _text(report: DoctorReport) -> str:
    rows = [[check.part, check.name, check.status, check.found, check.purpose] for check in report.checks]
    lines = [grid(report.machine, ["part", "check", "state", "found", "for"], rows)]
    mends = [(check.name, check.next_command) for check in report.checks if check.next_command is not None]
    if mends:
        lines += ["next", *(f"  {name}: {command}" for name, command in mends)]
    lines.append("backends")
    for state in report.backends:
        can = [verb for verb, able in (("builds", state.builds), ("runs", state.runs)) if able]
        lines.append(f"  {state.name}: {' and '.join(can) or 'neither builds nor runs'}; {state.reason}")
    lines.append(f"  auto takes {report.auto.backend}: {report.auto.reason}")
    base = "works" if report.base_works else "does not work: " + ", ".join(c.name for c in report.lacking("base"))
    return "\n".join([*lines, f"the base path {base}"])


def _qualify(
    model: Path | None, options: QualifyOptions, report: DoctorReport, view: MachineView, as_json: bool
) -> None:
    from edgeseg.errors import MissingComponentError, ToleranceError
    from edgeseg.machine.doctor.gpu_checks import gpu_memory_bytes
    from edgeseg.machine.qualify.qualification import qualify
    from edgeseg.machine.qualify.qualification_page import HTML_NAME, JSON_NAME

    lacking = report.lacking("base")
    if lacking:
        raise MissingComponentError(
            "the base path does not work here",
            found="; ".join(f"{check.name}: {check.found}" for check in lacking),
            next_command=lacking[0].next_command,
        )
    chosen = model or _shipped_package()
    result = qualify(chosen, options, report, lambda: gpu_memory_bytes(view, report.hardware.gpu), track, say)
    say(f"wrote {options.out / HTML_NAME} and {JSON_NAME}")
    emit(result, as_json, _qualification_text(result))
    if result.passed is not True:
        raise typer.Exit(ToleranceError.exit_code)


def _shipped_package() -> Path:
    import edgeseg
    from edgeseg.errors import UsageError

    beside = Path(edgeseg.__file__).parents[1] / "models" / "kvasir-small"
    for path in (Path("models/kvasir-small"), beside):
        if path.is_dir():
            return path
    raise UsageError(
        "no model was named, and the shipped package is not here",
        found=f"nothing at {beside}",
        expected="edgeseg doctor --qualify MODEL",
    )


def _qualification_text(result: Qualification) -> str:
    outcome = "UNDECIDED" if result.passed == "undecided" else "PASSED" if result.passed else "FAILED"
    columns = [
        "engine",
        "outcome",
        "size",
        "INT8 convolutions",
        "against the reference",
        "soak",
        "memory",
        "1080p, p50",
        "p99",
        "over budget",
    ]
    lines = [
        table(f"{result.model_path} on {result.machine.machine}", columns, [_cells(row) for row in result.engines]),
        *(
            f"  {row.backend} {row.precision}, {row.outcome}: {reason}"
            for row in result.engines
            if row.outcome != "passed"
            for reason in row.reasons
        ),
        *(
            f"  {row.backend} {row.precision}, measured: {note}"
            for row in result.engines
            if row.bench is not None
            for note in row.bench.notes
        ),
        f"{outcome}: {result.summary}",
        f"{result.notice}.",
    ]
    return "\n".join(lines)


def _cells(row: EngineQualification) -> list[str]:
    built, soak, bench = row.built, row.soak, row.bench
    if row.verdict is not None:
        against = f"Dice {row.verdict.mean_dice_drop:+.4f} lower"
    elif row.agreement is not None:
        against = f"{row.agreement.flipped_share:.3%} of pixels differ"
    else:
        against = "-"
    growth = None if soak is None else soak.memory_growth_bytes
    return [
        f"{row.backend} {row.precision}",
        row.outcome,
        "-" if built is None else f"{built.engine_bytes / 1e6:.2f} MB",
        "-" if built is None else f"{built.int8_convolutions} of {built.convolutions}",
        against,
        "-" if soak is None else f"{soak.frames} in {soak.seconds:.0f} s",
        "-" if growth is None else f"{growth / 1e6:+.1f} MB",
        "-" if bench is None else f"{bench.back_to_back.end_to_end.p50_ms:.1f} ms",
        "-" if bench is None else f"{bench.back_to_back.end_to_end.p99_ms:.1f} ms",
        "-" if bench is None else ", ".join(f"{p.over_budget_share:.0%} at {p.rate_hz:.4g} Hz" for p in bench.paced),
    ]
